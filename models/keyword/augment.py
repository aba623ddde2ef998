"""Dry recordings in, noisy one-second examples out: everything between a mouth and a device that this model is taught.

load() reads what make_data.py wrote, brings it to 16 kHz and trims it; Augment makes batches of features from it:

  voice    played slower or faster (pitch and formants move together), bent in time, formants moved alone by warping the
           frequency axis under the mel triangles, louder here and softer there, hoarse, anywhere in the second
  room     an exponentially decaying tail, 0.05 to 0.5 s, at -6 to 20 dB below the direct sound
  noise    white, pink, brown and blue noise, mains hum, babble of other recordings, clicks; 0 to 30 dB below the word
  cut      some recordings end, or begin, where the word does, and are nothing but zeros from there
  channel  a random smooth equaliser, the telephone's band (300 to 3400 Hz), clipping, any level
  touch    each stretch of time and band a little stronger or weaker: nobody articulates like a formula
  masks    a few frames or mels blanked, as SpecAugment does (Park et al. 2019)

Silence is noise without a word, or no sound at all.
"""
import math
import os

import numpy as np
import torch

import features as F
from network import LABELS

WORDS_RATE = 22050
SILENCE, UNKNOWN = LABELS.index("silence"), LABELS.index("unknown")


def resample(x, rate_in, rate_out=F.RATE):
    """Band-limited resampling of one recording through the FFT."""
    g = math.gcd(rate_in, rate_out)
    up, down = rate_out // g, rate_in // g
    n = -(-(len(x) + rate_in // 20) // down)  # 50 ms of zeros keep the end from wrapping onto the start
    spectrum = np.fft.rfft(x, n * down)
    size = n * up // 2 + 1
    if size > len(spectrum):
        spectrum = np.pad(spectrum, (0, size - len(spectrum)))
    return (np.fft.irfft(spectrum[:size], n * up) * (up / down))[:len(x) * up // down]


def trim(x, share=0.01):
    """Without what is quieter than a hundredth of the peak at either end."""
    loud = np.flatnonzero(np.abs(x) > share * np.abs(x).max())
    return x[max(0, loud[0] - 160):loud[-1] + 480]


class Recordings:
    """One split's recordings at 16 kHz, end to end in `sound` (float16, peak 1), with where each lies and what it is."""

    def __init__(self, sound, offset, length, label, rows):
        self.sound, self.offset, self.length, self.label, self.rows = sound, offset, length, label, rows

    def __len__(self):
        return len(self.offset)

    def clip(self, i):
        return self.sound[self.offset[i]:self.offset[i] + self.length[i]].astype(np.float32)


def load(folder, split, trimmed=True):
    """Reads a split of make_data.py's folder."""
    pcm = np.memmap(os.path.join(folder, "words.pcm"), dtype="<i2", mode="r")
    rows = [line.rstrip("\n").split("\t") for line in open(os.path.join(folder, "words.tsv"), encoding="utf-8")]
    rows = [row for row in rows if row[0] == split]
    parts = []
    for row in rows:
        x = resample(pcm[int(row[6]):int(row[6]) + int(row[7])].astype(np.float32) / 32768, WORDS_RATE)
        if trimmed:
            x = trim(x)
            x = x / np.abs(x).max()
        parts.append(x.astype(np.float16))
    length = np.array([len(x) for x in parts])
    offset = np.concatenate([[0], np.cumsum(length)[:-1]])
    label = np.array([LABELS.index(row[1]) for row in rows])
    return Recordings(np.concatenate(parts), offset, length, label, rows)


def fit(x):
    """What ledge makes of a recording that is not one second long: zeros after it, or its first second."""
    return np.pad(x[:F.LENGTH], (0, max(0, F.LENGTH - len(x)))).astype(np.float32)


class Augment:
    """Batches of (features (n, 98, 40), labels (n)) from the recordings; `rng` decides everything."""

    def __init__(self, recordings, seed, strength=1.0):
        self.r, self.strength = recordings, strength
        self.g = torch.Generator().manual_seed(seed)
        self.sound = torch.from_numpy(np.concatenate([recordings.sound, np.zeros(4, np.float16)]))
        self.offset, self.length = torch.from_numpy(recordings.offset), torch.from_numpy(recordings.length)
        self.by_label = [np.flatnonzero(recordings.label == k) for k in range(len(LABELS))]
        self.by_label = [torch.from_numpy(x) for x in self.by_label]
        self.noises = self.rooms = None
        self.uses = 0

    # random helpers
    def u(self, *shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=self.g)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.g)

    def coin(self, n, p):
        return torch.rand(n, generator=self.g) < p

    def pick(self, n_from, n):
        return torch.randint(0, n_from, (n,), generator=self.g)

    def read(self, which, start, rate, bend=None):
        """Recordings `which`, played at `rate`, the first sample at `start`: (n, 16000)."""
        t = torch.arange(F.LENGTH, dtype=torch.float32)[None] - start[:, None]
        at = t * rate[:, None]
        if bend is not None:  # the speed swings by a few per cent, slowly: no two people hold a vowel as long
            depth, period, phase = bend
            w = 2 * math.pi / period[:, None]
            at = at + rate[:, None] * depth[:, None] / w * (torch.sin(w * t + phase[:, None]) - torch.sin(phase)[:, None])
        whole = at.floor()
        part = at - whole
        length = self.length[which][:, None]
        inside = (at >= 0) & (whole < length - 1)
        index = (whole.long().clamp(min=0).minimum(length - 2) + self.offset[which][:, None])
        x = self.sound[index].float() * (1 - part) + self.sound[index + 1].float() * part
        return x * inside

    def make_noises(self, n=320):
        """Seconds of background, each of power one."""
        k = torch.arange(F.LENGTH // 2 + 1, dtype=torch.float32).clamp(min=20)
        slope = torch.tensor([0.0, 0.5, 1.0, 1.5, -0.5])[self.pick(5, n)][:, None]
        white = torch.complex(self.normal(n, len(k)), self.normal(n, len(k)))
        ripple = torch.nn.functional.interpolate(self.normal(n, 1, 24), len(k), mode="linear")[:, 0] * 0.6
        color = torch.fft.irfft(white * k.pow(-slope) * ripple.exp(), F.LENGTH)
        swing = 1 + self.u(n, 1, high=0.9) * torch.sin(
            2 * math.pi * (self.u(n, 1, low=0.3, high=6) * torch.arange(F.LENGTH)[None] / F.RATE + self.u(n, 1)))
        color = color * torch.where(self.coin(n, 0.4)[:, None], swing, torch.ones(()))
        m = n // 4  # babble: three to seven others at once
        babble = torch.zeros(m, F.LENGTH)
        for j in range(7):
            others = self.pick(len(self.r), m)
            start = self.u(m, low=-6000, high=14000)
            babble += self.read(others, start, self.u(m, low=0.8, high=1.25)) * ((j < 3) | self.coin(m, 0.5))[:, None]
        m2 = n // 8  # mains hum and its harmonics, fans, engines
        t = torch.arange(F.LENGTH)[None] / F.RATE
        base = torch.where(self.coin(m2, 0.5), torch.tensor(50.0), torch.tensor(60.0))
        base = torch.where(self.coin(m2, 0.3), self.u(m2, low=30, high=250), base)[:, None]
        hum = sum(self.u(m2, 1) / h ** 0.7 * torch.sin(2 * math.pi * (h * base * t + self.u(m2, 1)))
                  for h in range(1, 12))
        m3 = n // 8  # clicks, knocks: short decaying bursts
        knock = torch.zeros(m3, F.LENGTH)
        for _ in range(4):
            lag = torch.arange(F.LENGTH)[None] - self.u(m3, 1, high=F.LENGTH)
            decay = torch.exp(-lag.clamp(min=0) / self.u(m3, 1, low=10, high=500)) * (lag >= 0)
            knock += decay * self.normal(m3, F.LENGTH) * self.coin(m3, 0.7)[:, None]
        color[:m] = babble + 0.003 * color[:m]
        color[m:m + m2] = hum + 0.02 * color[m:m + m2] / color[m:m + m2].std()
        color[m + m2:m + m2 + m3] = knock + 0.003 * color[m + m2:m + m2 + m3] / color[m + m2:m + m2 + m3].std()
        self.noises = color / color.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)

    def make_rooms(self, n=160, fft=20480):
        """Spectra of rooms: the direct sound and a decaying tail."""
        t = torch.arange(8000)[None] / F.RATE
        decay = torch.exp(-6.9 * t / self.u(n, 1, low=0.05, high=0.5)) * (t > 0.002)
        tail = self.normal(n, 8000) * decay
        tail = tail / tail.square().sum(1, keepdim=True).sqrt() * 10 ** (-self.u(n, 1, low=-3, high=20) / 20)
        tail[:, 0] = 1
        self.rooms, self.room_fft = torch.fft.rfft(tail, fft), fft

    def smooth_gain(self, n, knots, n_points, decibels):
        """(n, n_points) power gains: random, smooth along mels."""
        curve = self.normal(n, 1, knots) * decibels * self.strength
        curve = torch.nn.functional.interpolate(curve, n_points, mode="linear", align_corners=True)[:, 0]
        return 10 ** (curve / 10)

    def warped_triangles(self, n):
        """Mel triangles for n throats: (n, 129, 40). Frequencies are bent with a knee near F1 and one near F2."""
        hz = torch.arange(F.N_BINS, dtype=torch.float32)[None] * (F.RATE / F.N_FFT)
        knee1, knee2 = self.u(n, 1, low=350, high=900), self.u(n, 1, low=1200, high=2600)
        s = 0.07 * self.strength
        all_, low, mid, high = (torch.exp(self.normal(n, 1) * k) for k in (s, s, s, s))
        warped = all_ * (low * hz.minimum(knee1) + mid * (hz.minimum(knee2) - knee1).clamp(min=0)
                         + high * (hz - knee2).clamp(min=0))
        return F.triangles(warped)

    def words(self, n, silence, unknown):
        """(n, 16000) words as the mouth and the room make them, their labels, and first and last sample of each."""
        kind = torch.rand(n, generator=self.g)
        label = self.pick(14, n)
        label[kind < silence + unknown] = UNKNOWN
        which = torch.tensor([int(self.by_label[k][self.pick(len(self.by_label[k]), 1)]) for k in label.tolist()])
        label[kind < silence] = SILENCE
        rate = torch.exp(self.normal(n).clamp(-2.2, 2.2) * 0.09 * self.strength)
        took = self.length[which] / rate
        slack = F.LENGTH - took
        start = torch.where(slack > 0, self.u(n) * slack, self.u(n, high=0.35) * slack)
        start = torch.where(self.coin(n, 0.2), self.u(n, high=600).minimum(slack.abs()), start)
        bend = (self.u(n, high=0.3 * self.strength), self.u(n, low=3000, high=14000), self.u(n, high=2 * math.pi))
        x = self.read(which, start, rate, bend)
        swell = torch.nn.functional.interpolate(self.normal(n, 1, 14), F.LENGTH, mode="linear")[:, 0]
        x = x * torch.exp(0.45 * self.strength * swell)
        x = x / x.abs().amax(1, keepdim=True).clamp(min=1e-4)
        wet = torch.fft.irfft(torch.fft.rfft(x, self.room_fft) * self.rooms[self.pick(len(self.rooms), n)],
                              self.room_fft)[:, :F.LENGTH]
        x = torch.where(self.coin(n, 0.6)[:, None], wet, x)
        return x, label, start, start + took

    def sounds(self, n, silence, unknown):
        """(n, 16000) what the microphone gives, and the labels."""
        x, label, start, end = self.words(n, silence, unknown)
        # noise, measured against the power while the word is spoken
        loud = (x.square().sum(1) / (end - start).clamp(2000, F.LENGTH)).sqrt().clamp(min=1e-4)
        snr = torch.where(self.coin(n, 0.25), self.u(n, low=30, high=60), 30 * self.u(n).sqrt())
        noise = self.noises[self.pick(len(self.noises), n)]
        noise = torch.stack([torch.roll(row, int(k)) for row, k in zip(noise, self.pick(F.LENGTH, n))])
        noise = noise * (loud * 10 ** (-snr / 20) * ~self.coin(n, 0.12))[:, None]
        silent = label == SILENCE
        x[silent] = 0
        x = x + noise
        x = x / x.abs().amax(1, keepdim=True).clamp(min=1e-5)
        clip = torch.where(self.coin(n, 0.1), self.u(n, low=0.15, high=0.8), torch.ones(n))[:, None]
        x = x.minimum(clip).maximum(-clip) * 10 ** (self.u(n, 1, low=-35, high=0) / 20)
        x[silent] *= 10 ** (-self.u(int(silent.sum()), 1, high=3))
        t, spare = torch.arange(F.LENGTH)[None], self.u(n, 2, high=1200)
        outside = (t < (start - spare[:, 0])[:, None]) | (t > (end + spare[:, 1])[:, None])
        x[outside & (self.coin(n, 0.35) & ~silent)[:, None]] = 0
        # half are rounded to 16 bits, as files are
        return torch.where(self.coin(n, 0.5)[:, None], (x * 32767).round() / 32767, x), label

    def view(self, power):
        """(n, 98, 129) power -> (n, 98, 40) features of another throat, through another channel."""
        n = len(power)
        mel = torch.bmm(power, self.warped_triangles(n))
        mel = mel * self.smooth_gain(n, 6, F.N_MELS, 5.0)[:, None]
        touch = torch.nn.functional.interpolate(self.normal(n, 1, 9, 6), (F.FRAMES, F.N_MELS), mode="bilinear")[:, 0]
        mel = mel * torch.exp(0.5 * self.strength * touch)
        center = F.mel_edges()[1:-1].float()[None]
        cut_low, cut_high = self.u(n, 1, low=60, high=350), self.u(n, 1, low=3000, high=4000)
        band = 1 / (1 + (cut_low / center) ** 8) / (1 + (center / cut_high) ** 24)
        mel = torch.where(self.coin(n, 0.4)[:, None, None], mel * band[:, None], mel)
        out = torch.log(mel.clamp(min=F.FLOOR))
        blank = torch.full((), math.log(F.FLOOR))
        width, first, frame = self.u(n, 1, high=9), self.u(n, 1, high=F.FRAMES), torch.arange(F.FRAMES)[None]
        hit = (frame >= first) & (frame < first + width) & self.coin(n, 0.5)[:, None]
        out = torch.where(hit[:, :, None], blank, out)
        width, first, row = self.u(n, 1, high=6), self.u(n, 1, high=F.N_MELS), torch.arange(F.N_MELS)[None]
        hit = (row >= first) & (row < first + width) & self.coin(n, 0.5)[:, None]
        return torch.where(hit[:, None], blank, out)

    def batch(self, n, silence=0.06, unknown=0.25, views=2):
        """n examples: n / views sounds, each through `views` throats and channels, since sounds cost most to make."""
        if self.uses % 24 == 0:
            self.make_noises()
            self.make_rooms()
        self.uses += 1
        x, label = self.sounds(n // views, silence, unknown)
        power = F.power(x)
        rough = self.u(len(x), high=1.2) * self.coin(len(x), 0.4)
        power = power * torch.exp(self.normal(*power.shape) * rough[:, None, None])
        return torch.cat([self.view(power) for _ in range(views)]), label.repeat(views)
