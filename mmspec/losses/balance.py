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


def gradient_square(loss: Tensor, prediction: Tensor, what: str) -> Tensor:
    """Squared Euclidean norm of d loss / d prediction, over all processes, detached.

    Args:
        loss: scalar ``[]`` computed from ``prediction``.
        prediction: ``[B, C, *spatial]``, requires grad.
        what: the loss's name in errors.

    Returns:
        ``[]`` float32. Where torch.distributed runs, that of the gradient of all ranks together, so that
        weights derived from it are the same on every rank and do not depend on how a batch is split.

    Raises:
        ValueError: if the loss does not depend on ``prediction``.
    """
    gradient = None
    if loss.requires_grad:
        (gradient,) = torch.autograd.grad(loss, prediction, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"{what} was not computed from the tensor at which gradients are compared: give through=, the tensor that "
            "the prediction and the denoising loss both depend on, such as the network's output."
        )
    square = gradient.float().square().sum()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(square)
    return square


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator`` ``[]``, and 0 where the denominator is 0: a term without gradient needs no weight."""
    return torch.where(denominator > 0, numerator / denominator.clamp_min(1e-30), torch.zeros_like(numerator))
