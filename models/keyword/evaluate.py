#!/usr/bin/env python3
"""What the keyword model scores on voices that it never heard.

Usage: evaluate.py DIR [--model NAME] [--digits FOLDER]

DIR/NAME.pt is tried on the test split of make_data.py, as espeak-ng spoke it and augmented as in training (any noise at 0
to 30 dB, rooms, band limits); --digits also tries the real speakers of the Free Spoken Digit Dataset's recordings/ (8 kHz,
<digit>_<speaker>_<n>.wav), over all 16 classes and with the answer restricted to the ten digits. Recordings of another
length than a second get zeros at their end or lose what is over. Prints a Markdown table; the interval is Wilson's, 95 %.
"""
import argparse
import glob
import os
import wave

import numpy as np
import torch

import augment
import features
import make_data
from network import LABELS, Network


def interval(right, n, z=1.96):
    p, d = right / n, 1 + z * z / n
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (p + z * z / (2 * n) - half) / d, (p + z * z / (2 * n) + half) / d


def row(name, right):
    n, k = len(right), int(right.sum())
    low, high = interval(k, n)
    print(f"| {name} | {n} | {100 * k / n:.1f} % | {100 * low:.1f} to {100 * high:.1f} % |", flush=True)


def predict(net, sounds, size=256):
    """(n, 16000) -> probabilities (n, 16)."""
    with torch.no_grad():
        return torch.cat([net(features.log_mel(torch.from_numpy(sounds[i:i + size]))[:, None])
                          for i in range(0, len(sounds), size)]).numpy()


def read_wav(path):
    with wave.open(path, "rb") as f:
        assert f.getsampwidth() == 2 and f.getnchannels() == 1, path
        x = np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768
        return augment.resample(x, f.getframerate()) if f.getframerate() != features.RATE else x


def group(voice):
    accent, _, variant = voice.partition("+")
    out_accent, out_variant = accent in make_data.TEST_ACCENTS, variant in make_data.TEST_VARIANTS
    return ("both held out" if out_accent and out_variant else
            "held-out variant, trained accent" if out_variant else "held-out accent, trained variant")


def confusion(label, guess):
    print("\nMost frequent mistakes: ", end="")
    pairs, counts = np.unique(np.stack([label, guess], 1)[label != guess], axis=0, return_counts=True)
    print(", ".join(f"{LABELS[a]} as {LABELS[b]} {n}" for n, (a, b) in
                    sorted(zip(counts.tolist(), pairs.tolist()), reverse=True)[:12]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--model", default="keyword")
    parser.add_argument("--digits")
    parser.add_argument("--short", action="store_true", help="the totals alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = Network().eval()
    net.load_state_dict(torch.load(os.path.join(args.dir, args.model + ".pt")))

    test = augment.load(args.dir, "test", trimmed=False)
    guess = predict(net, np.stack([augment.fit(test.clip(i)) for i in range(len(test))])).argmax(1)
    right = guess == test.label
    print("| recordings | n | right | 95 % interval |\n|---|---:|---:|---:|")
    row("held-out espeak-ng voices, as spoken: the 14 commands", right[test.label < 14])
    groups = np.array([group(r[3]) for r in test.rows])
    for name in np.unique(groups):
        row("... " + name, right[(groups == name) & (test.label < 14)])
    near = np.array([r[2].rstrip(".!?,") in make_data.UNKNOWN_NEAR for r in test.rows])
    other = (test.label == augment.UNKNOWN) & ~near
    row("held-out voices, ordinary words it never heard: unknown", right[other])
    row("commands and ordinary words together", right[~near])
    row("held-out voices, words within a sound or two of a command: unknown", right[near])
    noisy = augment.Augment(augment.load(args.dir, "test"), 77)
    x, y = zip(*(noisy.batch(256, views=1) for _ in range(20)))
    x, y = torch.cat(x), torch.cat(y).numpy()
    with torch.no_grad():
        wet = torch.cat([net(x[i:i + 256, None]) for i in range(0, len(x), 256)]).numpy().argmax(1)
    row("held-out voices, augmented: all 16 classes", wet == y)
    row("... the 14 commands", (wet == y)[y < 14])
    row("... silence", (wet == y)[y == augment.SILENCE])
    row("... unknown", (wet == y)[y == augment.UNKNOWN])
    if args.digits:
        paths = sorted(glob.glob(os.path.join(args.digits, "*.wav")))
        names = [os.path.basename(p).split("_") for p in paths]
        label = np.array([int(n[0]) for n in names])
        out = predict(net, np.stack([augment.fit(read_wav(p)) for p in paths]))
        row("real speakers, ten digits, answer among 16", out.argmax(1) == label)
        row("real speakers, ten digits, answer among the digits", out[:, :10].argmax(1) == label)
        for who in sorted({n[1] for n in names}):
            mine = np.array([n[1] == who for n in names])
            row(f"... {who}, among the digits (among 16: {100 * (out.argmax(1) == label)[mine].mean():.1f} %)",
                (out[:, :10].argmax(1) == label)[mine])
    if not args.short:
        print("\nHeld-out espeak-ng voices.", end=" ")
        confusion(test.label, guess)
        worst = {}
        for r, ok in zip(test.rows, right):
            worst.setdefault(r[3].partition("+")[2], []).append(ok)
        worst = sorted((np.mean(v), k) for k, v in worst.items())[:8]
        print("Hardest variants: " + ", ".join(f"{k} {100 * v:.0f} %" for v, k in worst))
        if args.digits:
            print("\nReal speakers, among 16.", end=" ")
            confusion(label, out.argmax(1))


if __name__ == "__main__":
    main()
