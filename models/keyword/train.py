#!/usr/bin/env python3
"""Trains the keyword model on what make_data.py wrote.

Usage: train.py DIR [--steps N] [--threads N] [--seed N]      needs: Python 3, PyTorch, numpy

Writes DIR/keyword.pt: the running mean of the weights. Every 250 steps it prints the accuracy on the dev voices, dry and
augmented; the last weights are kept, and neither the test voices nor any real speaker is looked at. One thread augments
while the other trains, so that it wants two cores, and about 3 GB of memory; the seed decides all random choices (sums on
another machine may still round differently). DIR/keyword.state is kept beside: where it stands, training goes on from it.
"""
import argparse
import copy
import ctypes
import os
import queue
import threading
import time

import numpy as np
import torch

import augment
import features
from network import LABELS, Network


def keep_pages():
    """glibc gives large blocks back to the kernel at once and takes them anew: a third of the time here. Not elsewhere."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        pass


def made_ahead(make, ahead=4):
    """Yields make() for ever, made by another thread in the same order."""
    done = queue.Queue(ahead)

    def work():
        torch.set_num_threads(1)
        while True:
            done.put(make())

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield done.get()


def accuracy(net, x, y, size=256):
    net.eval()
    with torch.no_grad():
        right = sum(int((net.logits(x[i:i + size, None]).argmax(1) == y[i:i + size]).sum())
                    for i in range(0, len(x), size))
    return right / len(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--rate", type=float, default=6e-3)
    parser.add_argument("--strength", type=float, default=1.0, help="how hard the voices are bent")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="keyword")
    args = parser.parse_args()
    keep_pages()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)

    dev = augment.load(args.dir, "dev", trimmed=False)
    dry = features.log_mel(torch.from_numpy(np.stack([augment.fit(dev.clip(i)) for i in range(len(dev))])))
    dry_label = torch.from_numpy(dev.label)
    wet, wet_label = augment.Augment(augment.load(args.dir, "dev"), 99).batch(1500, views=1)

    kept = os.path.join(args.dir, args.name + ".state")
    net = Network().to(memory_format=torch.channels_last)
    mean = copy.deepcopy(net)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0}],
                                  lr=args.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, args.steps, pct_start=0.1)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
    done = 0
    if os.path.exists(kept):
        state = torch.load(kept)
        for part, what in zip(state["parts"], (net, mean, optimiser, schedule)):
            what.load_state_dict(part)
        done = state["step"]
    train = augment.Augment(augment.load(args.dir, "train"), args.seed + 1000 * done, args.strength)
    batches = made_ahead(lambda: train.batch(args.batch))
    print(f"{len(train.r)} recordings, {sum(p.numel() for p in net.parameters())} parameters, from step {done}", flush=True)
    began, losses = time.time(), []
    for step in range(done + 1, args.steps + 1):
        net.train()
        x, y = next(batches)
        loss = loss_of(net.logits(x[:, None].contiguous(memory_format=torch.channels_last)), y)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        keep = min(0.995, step / (step + 20))
        with torch.no_grad():
            for a, b in zip(mean.state_dict().values(), net.state_dict().values()):
                a.lerp_(b, 1 - keep) if a.is_floating_point() else a.copy_(b)
        if step % 250 == 0 or step == args.steps:
            print(f"step {step}  loss {np.mean(losses[-250:]):.4f}  dev dry {accuracy(mean, dry, dry_label):.4f}  "
                  f"dev augmented {accuracy(mean, wet, wet_label):.4f}  {time.time() - began:.0f} s", flush=True)
            torch.save(mean.state_dict(), os.path.join(args.dir, args.name + ".pt"))
            torch.save({"step": step, "parts": [what.state_dict() for what in (net, mean, optimiser, schedule)]}, kept)


if __name__ == "__main__":
    main()
