"""The keyword network: a small residual network of depthwise-separable convolutions, about 120,000 parameters.

  input    (batch, 1, 98, 40)  log-mel energies, features.py
  level    the loudest energy of the second becomes 1, what is 10 nepers (43 dB) of power below it or less -1, so that
           neither the caller's gain nor faint noise matters; done in the graph, so that no caller can forget it
  stem     5x5 convolution, stride 2
  blocks   depthwise 3x3, batch norm, ReLU, 1x1 convolution, batch norm, added to what came in where shapes agree, ReLU
  head     mean over time and frequency, linear, softmax

All normalisation folds into the convolutions when the model is exported.
"""
import torch
import torch.nn as nn

LABELS = "zero one two three four five six seven eight nine yes no stop go silence unknown".split()
RANGE = 10.0


class Block(nn.Module):
    """Depthwise 3x3, then pointwise, each with batch norm; the sum with the input where nothing changes size."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.depth = nn.Sequential(nn.Conv2d(n_in, n_in, 3, stride, 1, groups=n_in, bias=False), nn.BatchNorm2d(n_in))
        self.point = nn.Sequential(nn.ReLU(), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.same = stride == 1 and n_in == n_out

    def forward(self, x):
        y = self.point(self.depth(x))
        return torch.relu(x + y if self.same else y)


class Network(nn.Module):
    # (channels, stride) of each block: 25 x 10 positions of 40 ms by 4 mels, then 13 x 5
    BLOCKS = ((64, 2), (96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1))

    def __init__(self, stem=32, blocks=BLOCKS, dropout=0.1):
        super().__init__()
        layers, n = [nn.Conv2d(1, stem, 5, 2, 2, bias=False), nn.BatchNorm2d(stem), nn.ReLU()], stem
        for n_out, stride in blocks:
            layers.append(Block(n, n_out, stride))
            n = n_out
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(n, len(LABELS)))

    def logits(self, x):
        x = (x - x.amax((1, 2, 3), keepdim=True)).clamp(min=-RANGE) * (2 / RANGE) + 1
        return self.head(self.body(x).mean((2, 3)))

    def forward(self, x):
        return torch.softmax(self.logits(x), 1)
