#!/usr/bin/env node
// ONNX Runtime from npm (onnxruntime-node) as a peer of bench/compare: one line of JSON (the contract: bench/README.md).
// Usage: onnxruntime.js [--threads N] [--seconds S] [--shape NAME=1x3x8x8]... [--int NAME=VALUE]... MODEL
//        onnxruntime.js --present     exit status 0 where the package is found: from the current folder, or by NODE_PATH
// Open dimensions are 1 and integers 1 unless told, floats are normal random numbers: as `ledge bench` has them.
// A run passes through a thread of Node's own: some tens of microseconds that the models themselves do not take.
'use strict';

const find = require('module').createRequire(process.cwd() + '/');

const makers = {
  float32: n => Float32Array.from({ length: n }, normal),
  float64: n => Float64Array.from({ length: n }, normal),
  bool: (n, v) => new Uint8Array(n).fill(v),
  int8: (n, v) => new Int8Array(n).fill(v),
  uint8: (n, v) => new Uint8Array(n).fill(v),
  int16: (n, v) => new Int16Array(n).fill(v),
  uint16: (n, v) => new Uint16Array(n).fill(v),
  int32: (n, v) => new Int32Array(n).fill(v),
  uint32: (n, v) => new Uint32Array(n).fill(v),
  int64: (n, v) => new BigInt64Array(n).fill(BigInt(v)),
  uint64: (n, v) => new BigUint64Array(n).fill(BigInt(v)),
};

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

function parse(args) {
  const o = { threads: 1, seconds: 1, shapes: {}, ints: {}, model: null };
  while (args.length) {
    let name = args.shift();
    if (!name.startsWith('--')) {
      o.model = name;
      continue;
    }
    const equals = name.indexOf('=');
    const value = equals > 0 ? name.slice(equals + 1) : args.shift();
    if (equals > 0) name = name.slice(0, equals);
    const cut = value.lastIndexOf('=');
    if (name === '--threads') o.threads = Number(value);
    else if (name === '--seconds') o.seconds = Number(value);
    else if (name === '--shape') o.shapes[value.slice(0, cut)] = value.slice(cut + 1).split('x').filter(d => d).map(Number);
    else if (name === '--int') o.ints[value.slice(0, cut)] = Number(value.slice(cut + 1));
    else if (name !== '--precision') // ledge's: what it is held against stays float32
      throw new Error(`${name} is no option here`);
  }
  if (!o.model) throw new Error('no model named');
  return o;
}

function makeInputs(ort, session, o) {
  if (!session.inputMetadata) throw new Error('this version of onnxruntime-node does not tell the inputs: 1.21 and later do');
  const inputs = {};
  for (const i of session.inputMetadata) {
    const make = makers[i.type];
    if (!make) throw new Error(`input ${i.name} is ${i.type}, which this script cannot fill`);
    const dims = o.shapes[i.name] || i.shape.map(d => (typeof d === 'number' && d > 0 ? d : 1));
    inputs[i.name] = new ort.Tensor(i.type, make(dims.reduce((a, b) => a * b, 1), o.ints[i.name] ?? 1), dims);
  }
  return inputs;
}

async function main() {
  const ort = find('onnxruntime-node');
  const o = parse(process.argv.slice(2));
  const peakRss = () => process.resourceUsage().maxRSS * 1024;
  const bare = peakRss(); // Node with its libraries, before any model
  const begin = performance.now();
  const session = await ort.InferenceSession.create(o.model,
    { executionProviders: ['cpu'], intraOpNumThreads: o.threads, interOpNumThreads: 1, logSeverityLevel: 4 });
  const loadMs = performance.now() - begin;
  const inputs = makeInputs(ort, session, o);
  for (let i = 0; i < 3; i++) await session.run(inputs);
  const ms = [];
  const end = performance.now() + o.seconds * 1e3;
  while (performance.now() < end || ms.length < 10) {
    const start = performance.now();
    await session.run(inputs);
    ms.push(performance.now() - start);
  }
  ms.sort((a, b) => a - b);
  const quantile = q => ms[Math.min(ms.length - 1, Math.floor(ms.length * q))];
  const version = find('onnxruntime-node/package.json').version;
  console.log(JSON.stringify({
    peer: `onnxruntime-node ${version}`, threads: o.threads, runs: ms.length, load_ms: loadMs,
    latency_ms: { min: ms[0], p50: quantile(0.5), p99: quantile(0.99), max: ms[ms.length - 1] },
    peak_rss_bytes: peakRss(), rss_growth_bytes: peakRss() - bare,
  }));
}

if (process.argv[2] === '--present') {
  find.resolve('onnxruntime-node');
} else {
  main().catch(e => console.log(JSON.stringify({ error: String(e.message).replaceAll('"', "'").split('\n')[0] })));
}
