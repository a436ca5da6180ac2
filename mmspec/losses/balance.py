"""Gradient norms of loss terms at the prediction, where they cost no pass through the network."""

import torch
from torch import Tensor


def gradient_norm(loss: Tensor, prediction: Tensor) -> Tensor:
    """Euclidean norm of d loss / d prediction, over all processes, detached.

    Args:
        loss: scalar ``[]`` computed from ``prediction``.
        prediction: ``[B, C, *spatial]``, requires grad.

    Returns:
        ``[]`` float32. Where torch.distributed runs, the norm of the gradient of all ranks together, so that
        weights derived from it are the same on every rank and do not depend on how a batch is split.
    """
    (gradient,) = torch.autograd.grad(loss, prediction, retain_graph=True)
    square = gradient.float().square().sum()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(square)
    return square.sqrt()


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator`` ``[]``, and 0 where the denominator is 0: a term without gradient needs no weight."""
    return torch.where(denominator > 0, numerator / denominator.clamp_min(1e-30), torch.zeros_like(numerator))
