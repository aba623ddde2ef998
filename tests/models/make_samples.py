#!/usr/bin/env python3
"""Makes samples.def: outputs of ONNX Runtime for inputs that model_samples.c makes alike.
Usage: ../shared/peers/run ../shared/models python3 - <tests/models/make_samples.py >tests/models/samples.def"""
import numpy as np
import onnxruntime as rt

rt.set_default_logger_severity(4)
DATA, SAMPLES = '/data/', 8
VISION = 'Ultra-Light-Fast-Generic-Face-Detector-1MB/models/onnx/version-'
MICROSOFT = 'Windows-Machine-Learning/'
YUNET = 'libfacedetection.train/onnx/yunet_n_'
SILERO = 'silero-vad/src/silero_vad/data/silero_vad'
# model, tolerance, inputs: name -> (scale, shape), or a number
CASES = [
    ('DTLN/pretrained_model/model_1.onnx', 1e-4, {'input_2': (4, (1, 1, 257)), 'input_3': (1, (1, 2, 128, 2))}),
    ('DTLN/pretrained_model/model_2.onnx', 1e-4, {'input_4': (1, (1, 1, 512)), 'input_5': (1, (1, 2, 128, 2))}),
    (VISION + 'RFB-320.onnx', 1e-4, {'input': (1, (1, 3, 240, 320))}),
    (VISION + 'slim-320.onnx', 1e-4, {'input': (1, (1, 3, 240, 320))}),
    (MICROSOFT + 'PyTorch_Data_Analysis/PyTorch_Training_-_Data_Analysis/Network.onnx', 1e-4, {'input': (7, (1, 4))}),
    (MICROSOFT + 'PyTorch_Data_Analysis/PyTorch_Training_-_Data_Analysis/Network.onnx', 1e-4, {'input': (7, (7, 4))}),
    (MICROSOFT + 'SharedContent/models/SqueezeNet_fp16.onnx', 2e-3, {'data_0': (128, (1, 3, 224, 224))}),
    (MICROSOFT + 'SharedContent/models/mnist.onnx', 1e-4, {'Input3': (255, (1, 1, 28, 28))}),
    ('basic-pitch/basic_pitch/saved_models/icassp_2022/nmp.onnx', 1e-4,
     {'serving_default_input_2:0': (0.5, (1, 43844, 1))}),
    ('basic-pitch/basic_pitch/saved_models/icassp_2022/nmp.onnx', 1e-4,
     {'serving_default_input_2:0': (0.1, (2, 43844, 1))}),
    (YUNET + '320_320.onnx', 1e-4, {'input': (128, (1, 3, 320, 320))}),
    (YUNET + '640_640.onnx', 1e-4, {'input': (128, (1, 3, 640, 640))}),
    (YUNET + 'dynamic.onnx', 1e-4, {'input': (128, (1, 3, 480, 640))}),
    (YUNET + 'dynamic.onnx', 1e-4, {'input': (128, (2, 3, 96, 160))}),
    ('magika/assets/models/standard_v2_1/model.onnx', 1e-4, {'bytes': (257, (1, 4096))}),
    ('magika/assets/models/standard_v2_1/model.onnx', 1e-4, {'bytes': (257, (3, 4096))}),
    (SILERO + '.onnx', 1e-4, {'input': (0.1, (1, 576)), 'state': (1, (2, 1, 128)), 'sr': 16000}),
    (SILERO + '.onnx', 1e-4, {'input': (0.1, (3, 576)), 'state': (1, (2, 3, 128)), 'sr': 16000}),
    (SILERO + '.onnx', 1e-4, {'input': (0.1, (2, 288)), 'state': (1, (2, 2, 128)), 'sr': 8000}),
    (SILERO + '_16k_op15.onnx', 1e-4, {'input': (0.1, (2, 576)), 'state': (1, (2, 2, 128)), 'sr': 16000}),
]
TYPES = {'tensor(float)': ('F32', np.float32), 'tensor(float16)': ('F16', np.float16),
         'tensor(int32)': ('I32', np.int32), 'tensor(int64)': ('I64', np.int64)}


def mix(i, seed):
    """Murmur3's last steps; model_samples.c has the same."""
    with np.errstate(over='ignore'):
        x = i.astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        return x ^ (x >> np.uint32(16))


def make(dtype, scale, shape, seed):
    bits = mix(np.arange(int(np.prod(shape))), seed)
    if np.issubdtype(dtype, np.integer):
        return (bits % np.uint32(scale)).astype(dtype).reshape(shape)
    unit = (bits >> np.uint32(8)).astype(np.float64) * 2**-23 - 1
    return (unit * scale).astype(dtype).reshape(shape)


def braces(values):
    return '{' + (', '.join(f'{v:.7g}' if isinstance(v, float) else str(v) for v in values) or '0') + '}'


print('/* Made by make_samples.py with ONNX Runtime ' + rt.__version__ + '; see model_samples.c. */')
for path, tolerance, inputs in CASES:
    options = rt.SessionOptions()
    options.intra_op_num_threads = 1
    session = rt.InferenceSession(DATA + path, options, providers=['CPUExecutionProvider'])
    feeds, rows = {}, []
    for k, i in enumerate(session.get_inputs()):
        name, dtype = TYPES[i.type]
        given = inputs[i.name]
        scale, shape = given if isinstance(given, tuple) else (given, ())
        feeds[i.name] = make(dtype, scale, shape, k) if isinstance(given, tuple) else np.array(given, dtype)
        rows.append(f'{{"{i.name}", LEDGE_{name}, {scale}, {len(shape)}, {braces(shape)}}}')
    print(f'CASE("{path}", {tolerance:g},\n     INPUTS(' + ',\n            '.join(rows) + '),')
    rows = []
    for o, y in zip(session.get_outputs(), session.run(None, feeds)):
        flat = y.ravel().astype(np.float64)
        at = mix(np.arange(SAMPLES), 77) % np.uint32(flat.size)
        rows.append(f'{{"{o.name}", {y.ndim}, {braces(y.shape)}, {abs(flat).max():.7g}, {flat.mean():.7g},\n'
                    f'              {braces([float(f'{flat[j]:.7g}') for j in at])}}}')
    print('     OUTPUTS(' + ',\n             '.join(rows) + '))')
