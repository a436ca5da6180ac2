"""Gradient norms of loss terms at the prediction, where they cost no pass through the network."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GradientSquares:
    """Squared norms of gradients at the prediction of a batch; those of its micro-batches add up to them.

    Attributes:
        term: of a regularizer's gated loss without its weight, ``[]`` float32.
        denoising: of the denoising loss, ``[]`` float32.
    """

    term: Tensor
    denoising: Tensor

    def __add__(self, other: "GradientSquares") -> "GradientSquares":
        return GradientSquares(self.term + other.term, self.denoising + other.denoising)

    @property
    def ratio(self) -> Tensor:
        """Norm of the term's gradient over that of the denoising loss, ``[]``."""
        return safe_ratio(self.term.sqrt(), self.denoising.sqrt())


def gradient_square(loss: Tensor, prediction: Tensor) -> Tensor:
    """Squared Euclidean norm of d loss / d prediction, over all processes, detached.

    Args:
        loss: scalar ``[]`` computed from ``prediction``.
        prediction: ``[B, C, *spatial]``, requires grad.

    Returns:
        ``[]`` float32. Where torch.distributed runs, that of the gradient of all ranks together, so that
        weights derived from it are the same on every rank and do not depend on how a batch is split.
    """
    (gradient,) = torch.autograd.grad(loss, prediction, retain_graph=True)
    square = gradient.float().square().sum()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(square)
    return square


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator`` ``[]``, and 0 where the denominator is 0: a term without gradient needs no weight."""
    return torch.where(denominator > 0, numerator / denominator.clamp_min(1e-30), torch.zeros_like(numerator))
