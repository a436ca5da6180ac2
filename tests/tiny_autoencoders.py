"""Tiny autoencoders as plain sequential networks, by the description of TAESD's files."""

import torch
from torch import nn


class Clamp(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


class Block(nn.Module):
    def __init__(self, width, pooled):
        super().__init__()
        convs = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        self.pool = None
        if pooled:
            self.pool = nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(4, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )

    def forward(self, x):
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def plain_encoder(colours, width, blocks, latents, pooled):
    """Takes pictures in [0, 1]."""
    layers = [nn.Conv2d(colours, width, 3, padding=1)]
    for level, count in enumerate(blocks):
        if level:
            layers.append(nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False))
        layers += [Block(width, pooled and level == len(blocks) - 1) for _ in range(count)]
    return nn.Sequential(*layers, nn.Conv2d(width, latents, 3, padding=1))


def plain_decoder(colours, width, blocks, latents, pooled):
    """Makes pictures in [0, 1]."""
    layers = [Clamp(), nn.Conv2d(latents, width, 3, padding=1), nn.ReLU()]
    for level, count in reversed(list(enumerate(blocks))):
        layers += [Block(width, pooled and level == len(blocks) - 1) for _ in range(count)]
        if level:
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
    return nn.Sequential(*layers, nn.Conv2d(width, colours, 3, padding=1))
