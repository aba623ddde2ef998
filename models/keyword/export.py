#!/usr/bin/env python3
"""Writes what is shipped: keyword.onnx, recordings/*.wav and goldens.json, beside this script.

Usage: export.py DIR [--model NAME]      needs: PyTorch, numpy, onnx; DIR as make_data.py and train.py left it

The model takes (batch, 1, 98, 40) log-mel energies and gives (batch, 16) probabilities; ONNX opset 17, batch norm folded.
Its metadata say how to get from sound to features (`ledge.input.0`) and what the outputs mean (`ledge.labels`).
The recordings are of voices of the test split. goldens.json holds what this pipeline computes for each of them, so that
another implementation of the features can be held against it: rows of log-mel energies and all 16 probabilities.
"""
import argparse
import io
import json
import os
import re
import wave

import numpy as np
import onnx
import torch

import augment
import features
import make_data
from network import LABELS, Network

HERE = os.path.dirname(os.path.abspath(__file__))
# word, voice, decibels of white noise below the word's power (None: as spoken)
RECORDINGS = [("yes", "en-gb-x-gbcwmd+Annie", None), ("no", "en-us-nyc+m8", None), ("stop", "en-us-nyc+f4", 15),
              ("go", "en-gb-x-gbcwmd+paul", None), ("seven", "en-gb-x-gbcwmd+linda", 10), ("four", "en-us+m5", 20)]
ROWS = [25, 40, 55]


def graph(net):
    out = io.BytesIO()
    torch.onnx.export(net, torch.zeros(1, 1, features.FRAMES, features.N_MELS), out, opset_version=17, dynamo=False,
                      input_names=["features"], output_names=["probabilities"],
                      dynamic_axes={"features": {0: "batch"}, "probabilities": {0: "batch"}})
    model = onnx.load_from_string(out.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    model.graph.name, model.graph.doc_string = "keyword", ""
    model.doc_string = "Sixteen spoken commands from one second of sound; trained on synthetic speech alone."
    model.producer_name, model.producer_version = "ledge models/keyword/export.py", ""
    onnx.helper.set_model_props(model, {
        "ledge.task": "audio-classification",
        "ledge.input.0": features.SPEC,
        "ledge.labels": "\n".join(LABELS),
        "author": "the ledge authors",
        "license": "Apache-2.0",
    })
    onnx.checker.check_model(model, full_check=True)
    return model


def record(test, word, voice, decibels, rng):
    """One held-out recording as a second of 16-bit samples."""
    which = [i for i, r in enumerate(test.rows) if r[1] == word and r[3] == voice]
    x = np.pad(test.clip(which[0]), (3200, 0))[:features.LENGTH]  # a fifth of a second before the word
    x = augment.fit(x) / np.abs(x).max() * 0.5
    if decibels is not None:
        power = np.mean(x[np.abs(x) > 0.02] ** 2)
        x = x + rng.standard_normal(len(x)) * np.sqrt(power) * 10 ** (-decibels / 20)
    return np.clip(np.round(x * 32767), -32768, 32767).astype("<i2")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--model", default="keyword")
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = Network().eval()
    net.load_state_dict(torch.load(os.path.join(args.dir, args.model + ".pt")))
    with open(os.path.join(HERE, "keyword.onnx"), "wb") as f:
        f.write(graph(net).SerializeToString(deterministic=True))

    test, rng = augment.load(args.dir, "test", trimmed=False), np.random.default_rng(make_data.SEED)
    os.makedirs(os.path.join(HERE, "recordings"), exist_ok=True)
    golden = {"input": features.SPEC, "shape": [1, 1, features.FRAMES, features.N_MELS], "labels": LABELS,
              "recordings": []}
    for word, voice, decibels in RECORDINGS:
        pcm = record(test, word, voice, decibels, rng)
        name = f"recordings/{word}.wav"
        with wave.open(os.path.join(HERE, name), "wb") as f:
            f.setnchannels(1)
            f.setsampwidth(2)
            f.setframerate(features.RATE)
            f.writeframes(pcm.tobytes())
        sound = torch.from_numpy(pcm.astype(np.float32) / 32768)[None]
        mel = features.log_mel(sound)
        with torch.no_grad():
            probabilities = net(mel[:, None])[0]
        golden["recordings"].append({
            "file": name, "voice": voice, "noise_db": decibels, "label": word,
            "mean": round(mel.double().mean().item(), 5), "min": round(mel.min().item(), 5),
            "max": round(mel.max().item(), 5),
            "rows": {str(k): [round(v, 5) for v in mel[0, k].tolist()] for k in ROWS},
            "probabilities": [round(v, 6) for v in probabilities.tolist()]})
        print(f"{name}: {LABELS[int(probabilities.argmax())]} {probabilities.max():.3f}")
    with open(os.path.join(HERE, "goldens.json"), "w") as f:
        text = json.dumps(golden, indent=1)
        f.write(re.sub(r"\[[^][{}]*\]", lambda flat: " ".join(flat[0].split()), text) + "\n")  # a list, a line


if __name__ == "__main__":
    main()
