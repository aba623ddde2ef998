#!/usr/bin/env python3
"""ONNX Runtime from Python as a peer of bench/compare: one line of JSON (the contract: bench/README.md).
Usage: onnxruntime.py [--threads N] [--seconds S] [--shape NAME=1x3x8x8]... [--int NAME=VALUE]... MODEL
Open dimensions are 1 and integers 1 unless told, floats are normal random numbers: as `ledge bench` has them."""
import argparse
import json
import resource
import sys
import time

sys.path.pop(0)  # this folder: its onnxruntime.py is not the package
import numpy as np
import onnxruntime as ort


def peak_rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def quantile(ms, q):
    return float(ms[min(len(ms) - 1, int(len(ms) * q))])


DTYPES = {"float": np.float32, "double": np.float64, "float16": np.float16, "bool": np.bool_, "int8": np.int8, "uint8": np.uint8,
          "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32, "int64": np.int64, "uint64": np.uint64}


def make_inputs(session, shapes, ints):
    random = np.random.default_rng(0)
    inputs = {}
    for i in session.get_inputs():
        dims = shapes.get(i.name, [d if isinstance(d, int) and d > 0 else 1 for d in i.shape])
        kind = i.type[len("tensor("):-1]
        if kind not in DTYPES:
            raise ValueError(f"input {i.name} is {i.type}, which this script cannot fill")
        dtype = DTYPES[kind]
        if np.issubdtype(dtype, np.floating):
            inputs[i.name] = random.standard_normal(dims).astype(dtype)
        else:
            inputs[i.name] = np.full(dims, ints.get(i.name, 1), dtype)
    return inputs


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=1)
    p.add_argument("--shape", action="append", default=[])
    p.add_argument("--int", action="append", default=[], dest="ints")
    p.add_argument("--precision")  # ledge's: what it is held against stays float32
    p.add_argument("model")
    a = p.parse_args()
    shapes = {k: [int(d) for d in v.split("x") if d] for k, v in (s.rsplit("=", 1) for s in a.shape)}
    ints = {k: int(v) for k, v in (s.rsplit("=", 1) for s in a.ints)}
    ort.set_default_logger_severity(4)
    bare = peak_rss()  # the interpreter with its libraries, before any model
    options = ort.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.inter_op_num_threads = 1
    start = time.perf_counter()
    session = ort.InferenceSession(a.model, options, providers=["CPUExecutionProvider"])
    load_ms = (time.perf_counter() - start) * 1e3
    inputs = make_inputs(session, shapes, ints)
    for _ in range(3):
        session.run(None, inputs)
    ms = []
    end = time.perf_counter() + a.seconds
    while time.perf_counter() < end or len(ms) < 10:
        start = time.perf_counter()
        session.run(None, inputs)
        ms.append((time.perf_counter() - start) * 1e3)
    ms.sort()
    print(json.dumps({"peer": "onnxruntime " + ort.__version__, "threads": a.threads, "runs": len(ms), "load_ms": load_ms,
                      "latency_ms": {"min": ms[0], "p50": quantile(ms, 0.5), "p99": quantile(ms, 0.99), "max": ms[-1]},
                      "peak_rss_bytes": peak_rss(), "rss_growth_bytes": peak_rss() - bare}))


try:
    main()
except Exception as e:  # the contract's way to say why there is no number
    print(json.dumps({"error": str(e).replace('"', "'").split("\n")[0]}))
