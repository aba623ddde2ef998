"""What the keyword model hears: 98 frames of 40 log-mel energies from one second of sound at 16 kHz.

SPEC says it in the words of ledge's audio features and stands in the model file; it is librosa's way but for the frames:

  frames   400 samples (25 ms) every 160 (10 ms), none beyond the ends: 1 + (16000 - 400) // 160 = 98
  window   Hann, periodic; zeros up to the 512 of the FFT
  power    |FFT|^2 of samples in -1..1, no pre-emphasis, no dithering
  mels     40 triangles from 20 to 4000 Hz on Slaney's scale, each of area one (Slaney's norm); nothing above 4 kHz is
           used, so that a telephone's 8 kHz is as good as 16
  log      natural, of max(power, 1e-6)

Levels are normalised inside the network (see network.py), not here.
"""
import math

import torch

RATE, LENGTH = 16000, 16000
N_FFT, WIN, HOP, N_MELS, FMIN, FMAX, FLOOR = 512, 400, 160, 40, 20.0, 4000.0, 1e-6
FRAMES = 1 + (LENGTH - WIN) // HOP
N_BINS = int(N_FFT * FMAX / RATE) + 1  # bins up to 4 kHz: the rest weighs nothing

SPEC = (f"mel:preset=librosa,rate={RATE},length={LENGTH},fft={N_FFT},win={WIN},hop={HOP},window=hann,periodic=1,"
        f"framing=snip,power=2,mels={N_MELS},fmin={FMIN:g},fmax={FMAX:g},melscale=slaney,melshape=hz,norm=slaney,"
        f"log=ln,floor={FLOOR:g},topdb=0,layout=nctf")


def hz_to_mel(hz):
    """Slaney's scale: linear below 1 kHz (15 mels), logarithmic above."""
    return torch.where(hz < 1000, hz * 3 / 200, 15 + torch.log(hz.clamp(min=1e-3) / 1000) * (27 / math.log(6.4)))


def mel_to_hz(mel):
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * (math.log(6.4) / 27)))


def mel_edges():
    """The corners of the triangles in Hz: 42, the i-th triangle stands on i, i + 1, i + 2."""
    low, high = (hz_to_mel(torch.tensor(f, dtype=torch.float64)).item() for f in (FMIN, FMAX))
    return mel_to_hz(torch.linspace(low, high, N_MELS + 2, dtype=torch.float64))


def triangles(hz):
    """Weights of the 40 mels at the frequencies hz (..., bins): (..., bins, 40)."""
    edges = mel_edges().to(hz)
    left, mid, right = edges[:-2], edges[1:-1], edges[2:]
    hz = hz.unsqueeze(-1)
    shape = torch.minimum((hz - left) / (mid - left), (right - hz) / (right - mid)).clamp(min=0)
    return shape * (2 / (right - left))


def window():
    n = torch.arange(WIN, dtype=torch.float64)
    return (0.5 - 0.5 * torch.cos(2 * math.pi * n / WIN)).float()


def power(sound):
    """(batch, 16000) samples in -1..1 -> (batch, 98, 129) power up to 4 kHz."""
    frames = sound.unfold(1, WIN, HOP) * window()
    spectrum = torch.fft.rfft(frames, n=N_FFT)[..., :N_BINS]
    return spectrum.real ** 2 + spectrum.imag ** 2


def log_mel(sound):
    """(batch, 16000) samples in -1..1 -> (batch, 98, 40)."""
    weights = triangles(torch.arange(N_BINS, dtype=torch.float64) * (RATE / N_FFT)).float()
    return torch.log((power(sound) @ weights).clamp(min=FLOOR))
