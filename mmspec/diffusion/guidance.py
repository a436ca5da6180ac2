"""Classifier-free guidance (Ho and Salimans 2022), as one more denoiser."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.diffusion.conditions import nothing, said
from mmspec.diffusion.samplers.sampler import rounded


@dataclass(frozen=True)
class Guided:
    """``D_uncond + scale (D_cond - D_uncond)``, both from one batch of twice the size.

    Args:
        denoiser: ``denoiser(x, sigma, **cond)``.
        scale: 1 is the conditional denoiser, 0 the unconditional one, above 1 follows what it is told more closely.
    """

    denoiser: Callable[..., Tensor]
    scale: float

    def __call__(self, x: Tensor, sigma: Tensor, **told: Tensor) -> Tensor:
        """x ``[B, C, *spatial]``, sigma ``[B]``, what `mmspec.diffusion.conditions.tell` says -> x0_hat."""
        without = nothing(told)
        cond = {name: torch.cat([without[name], value]) for name, value in said(told).items()}
        both = self.denoiser(torch.cat([x, x]), torch.cat([sigma, sigma]), **cond)
        unconditional, conditional = both.chunk(2)
        return unconditional + self.scale * (conditional - unconditional)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the denoiser knows, same shape."""
        return rounded(self.denoiser, sigma)
