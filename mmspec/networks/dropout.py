"""Dropout of a sample that does not depend on which others stand beside it in a batch."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Sets values to 0 by chance, each sample's by its seed where `seed_dropout` gave one, and scales what stays: any
    shape ``[B, ...]`` -> the same.

    Without seeds, and within ``torch.compile``, which knows no generators, by torch's own for the whole batch.

    Args:
        probability: with which a value becomes 0.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.seeds: list[int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.probability:
            return x
        if self.seeds is None or torch.compiler.is_compiling():
            return F.dropout(x, self.probability)
        return torch.where(self._mask(x), x, 0).mul_(1 / (1 - self.probability)) if self.probability < 1 else x * 0

    def _mask(self, x: Tensor) -> Tensor:
        generator, mask = torch.Generator(x.device), torch.empty(x.shape, dtype=torch.bool, device=x.device)
        for sample, seed in zip(mask, self.seeds or (), strict=True):
            sample.bernoulli_(1 - self.probability, generator=generator.manual_seed(seed))
        # Filled in the order of its indices, then laid out in memory as x is, which differs from batch to batch.
        return mask if x.is_contiguous() else torch.empty_like(x, dtype=torch.bool).copy_(mask)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"


def seed_dropout(network: nn.Module, seeds: Sequence[int]) -> None:
    """Have the next batches ``[B, ...]`` of a network dropped out by one seed a sample, in each layer otherwise."""
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, layer in enumerate(layers):
        layer.seeds = [(seed + number * 0x9E3779B97F4A7C15) % 2**63 for seed in seeds]
