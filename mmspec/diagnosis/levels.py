"""At which noise levels a training looks, and how often."""

import torch
from torch import Tensor

from mmspec.diffusion.noise import NoiseDistribution
from mmspec.diffusion.processes import Process

DRAWS = 1 << 16
TAIL = 0.01  # of the draws at either end, which a training hardly sees


def noise_levels(process: Process, noise: NoiseDistribution, count: int, seed: int = 0) -> Tensor:
    """Noise levels over which a training spends 98% of its samples and samplers walk, evenly in ln sigma.

    Args:
        process: rounds them to those that the network knows.
        noise: draws a training's levels.
        count: at most so many.
        seed: of the draws.

    Returns:
        Ascending, at most ``[count]`` float64; all different.
    """
    drawn = _drawn(noise, seed).clamp(process.sigma_min, process.sigma_max)
    low, high = drawn.quantile(torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64)).log().tolist()
    levels = torch.linspace(low, high, count, dtype=torch.float64).exp()
    return torch.unique(process.round_sigma(levels).double())  # type: ignore[no-any-return]


def drawn_shares(noise: NoiseDistribution, levels: Tensor, seed: int = 0) -> Tensor:
    """The share of a training's samples that are nearest to each of ascending noise levels ``[levels]``, by ln sigma.

    Returns:
        ``[levels]`` float64, which sum to 1.
    """
    drawn = _drawn(noise, seed)
    between = (levels[1:] * levels[:-1]).sqrt()
    counts = torch.bincount(torch.bucketize(drawn, between), minlength=len(levels))
    return counts.double() / len(drawn)


def _drawn(noise: NoiseDistribution, seed: int) -> Tensor:
    return noise.draw(DRAWS, torch.Generator().manual_seed(seed)).double()
