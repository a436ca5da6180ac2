"""Classifier-free guidance (Ho and Salimans 2022), as one more denoiser."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Guided:
    """``D_uncond + scale (D_cond - D_uncond)``, both from one batch of twice the size.

    Args:
        denoiser: ``denoiser(x, sigma, labels=...)``, where an all-zero row of one-hot labels means unconditional, or
            ``denoiser(x, sigma, context=...)``, or both.
        scale: 1 is the conditional denoiser, 0 the unconditional one, above 1 follows labels and context more closely.
        null_context: what stands for no context, such as the embedding of an empty text, ``[1, L, D]``.
    """

    denoiser: Callable[..., Tensor]
    scale: float
    null_context: Tensor | None = None

    def __call__(
        self, x: Tensor, sigma: Tensor, *, labels: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """x ``[B, C, *spatial]``, sigma ``[B]``, one-hot labels ``[B, classes]``, context ``[B, L, D]`` -> x0_hat."""
        cond = {}
        if labels is not None:
            cond["labels"] = torch.cat([torch.zeros_like(labels), labels])
        if context is not None:
            null = context if self.null_context is None else self.null_context.to(context).expand_as(context)
            cond["context"] = torch.cat([null, context])
        both = self.denoiser(torch.cat([x, x]), torch.cat([sigma, sigma]), **cond)
        unconditional, conditional = both.chunk(2)
        return unconditional + self.scale * (conditional - unconditional)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the denoiser knows."""
        return self.denoiser.round_sigma(sigma) if hasattr(self.denoiser, "round_sigma") else sigma
