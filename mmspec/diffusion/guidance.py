"""Classifier-free guidance (Ho and Salimans 2022), as one more denoiser."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Guided:
    """``D_uncond + scale (D_cond - D_uncond)``, both from one batch of twice the size.

    Args:
        denoiser: ``denoiser(x, sigma, labels=...)``; an all-zero row of one-hot labels means unconditional.
        scale: 1 is the conditional denoiser, 0 the unconditional one, above 1 follows the labels more closely.
    """

    denoiser: Callable[..., Tensor]
    scale: float

    def __call__(self, x: Tensor, sigma: Tensor, *, labels: Tensor) -> Tensor:
        """x ``[B, C, *spatial]``, sigma ``[B]``, one-hot labels ``[B, classes]`` -> x0_hat like x."""
        labels = torch.cat([torch.zeros_like(labels), labels])
        both = self.denoiser(torch.cat([x, x]), torch.cat([sigma, sigma]), labels=labels)
        unconditional, conditional = both.chunk(2)
        return unconditional + self.scale * (conditional - unconditional)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the denoiser knows."""
        return self.denoiser.round_sigma(sigma) if hasattr(self.denoiser, "round_sigma") else sigma
