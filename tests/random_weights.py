"""The random weights of the networks that the reference values were made with, drawn again by their rules."""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Shapes = Mapping[str, Sequence[int]]


def edm_weights(shapes: Shapes, seeds: Mapping[str, float], adm: bool) -> dict[str, Tensor]:
    """EDM's: as a network begins, in the order of its construction, and then noise on every parameter."""
    with torch.random.fork_rng():
        torch.manual_seed(seeds["init"])
        weights = {key: _edm_start(key, shapes, adm) for key in shapes}
        torch.manual_seed(seeds["perturb"])
        for key in shapes:
            if not key.endswith("resample_filter") and not key.endswith("freqs"):
                weights[key] = weights[key] + seeds["perturb_std"] * torch.randn(weights[key].shape)
    return weights


def _edm_start(key: str, shapes: Shapes, adm: bool) -> Tensor:
    shape = shapes[key]
    layer, kind = key.split(".")[-2:]
    if kind == "resample_filter":
        taps = torch.tensor({2: [1.0, 1.0], 4: [1.0, 3.0, 3.0, 1.0]}[shape[-1]])
        return (taps.outer(taps) / taps.sum() ** 2).expand(*shape).clone()
    if kind == "freqs":
        return 16 * torch.randn(shape)
    if "norm" in layer:
        return torch.full(shape, float(kind == "weight"))
    fan_out, fan_in, *kernel = shapes[key.removesuffix("bias") + "weight" if kind == "bias" else key]
    bound = math.sqrt(3 / (fan_in * math.prod(kernel)))  # of He
    if not adm:
        bound = math.sqrt(6 / ((fan_in + fan_out) * math.prod(kernel)))  # of Glorot
    return bound * (torch.rand(shape) * 2 - 1) * _edm_gain(layer, kind, adm)


def _edm_gain(layer: str, kind: str, adm: bool) -> float:
    last = layer in ("conv1", "proj", "out_conv") or layer.endswith("aux_conv")
    if adm:
        return 0.0 if last else math.sqrt(1 / 3)
    if kind == "bias":
        return 0.0
    return 1e-5 if last else math.sqrt(0.2) if layer == "qkv" else 1.0


def compvis_weights(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    """CompVis's: each a window, at the CRC-32 of its name, of one pool of numbers; scales of norms, of another."""
    rng = np.random.RandomState(seed)
    length = 8192 + max(math.prod(shape) for shape in shapes.values())
    pool = torch.from_numpy(0.1 * rng.randn(length) + 0.1 * rng.rand(length) - 0.05).float()
    scales = torch.from_numpy(1 + 0.1 * rng.randn(8192)).float()
    weights, taken = {}, set()
    for key, shape in shapes.items():
        size, of_norm = math.prod(shape), len(shape) == 1 and key.endswith("weight")
        start = zlib.crc32(key.encode()) % (8192 - size * of_norm)
        while (start, *shape) in taken and not of_norm:
            start += 1
        taken.add((start, *shape))
        weights[key] = (scales if of_norm else pool)[start : start + size].view(*shape)
    return weights


def lmnt_weights(names: Sequence[str]) -> dict[str, Tensor]:
    """LMNT's DiffWave of 8 channels and 4 layers: as it begins, and then noise on every parameter."""

    def conv(*arguments: int) -> nn.Conv1d:
        layer = nn.Conv1d(*arguments)
        nn.init.kaiming_normal_(layer.weight)
        return layer

    with torch.random.fork_rng():
        torch.manual_seed(10)
        layers = [conv(1, 8, 1), nn.Linear(128, 512), nn.Linear(512, 512)]
        layers += [nn.ConvTranspose2d(1, 1, (3, 32)) for _ in range(2)]
        for _ in range(4):
            layers += [conv(8, 16, 3), nn.Linear(512, 8), conv(80, 16, 1), conv(8, 16, 1)]
        layers += [conv(8, 8, 1), conv(8, 1, 1)]
        nn.init.zeros_(layers[-1].weight)
        parameters = [parameter.detach() for layer in layers for parameter in layer.parameters()]
        torch.manual_seed(11)
        noisy = [parameter + 0.1 * torch.randn_like(parameter) for parameter in parameters]
    return dict(zip(names, noisy, strict=True))
