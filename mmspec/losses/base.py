"""What the spectral losses share: checks of the two signals, the float32 island, and the reduction."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from mmspec.spectral.signals import as_signal


class SpectralLoss(nn.Module, ABC):
    """A distance of two signals in a spectral domain: one value a sample, then reduced.

    A subclass defines `distance`. It is called outside autocast, with two checked signals of one floating type:
    float64 where either signal is float64, float32 otherwise.

    Args:
        reduction: "none" for a value a sample ``[B]``, "mean" for their mean, "sum" for sums over all elements
            and the batch.

    Raises:
        ValueError: for another reduction.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}.')
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare a prediction with the clean signal.

        Args:
            input: the prediction, ``[B, C, T]`` or ``[B, C, H, W]``.
            target: the clean signal, same shape.

        Returns:
            ``[]``, or ``[B]`` with ``reduction="none"``; float32, or float64 where a signal is float64.

        Raises:
            ValueError: if the shapes differ, there are not one or two spatial axes, or nothing is in them; or if a
                subclass gives no value a sample where none is to be reduced.
            TypeError: if a signal is not floating point.
        """
        if input.shape != target.shape:
            raise ValueError(f"input and target must have one shape, not {list(input.shape)} and {list(target.shape)}.")
        if not input.numel():
            raise ValueError(f"there is nothing to compare in signals of shape {list(input.shape)}.")
        input, target = as_signal(input), as_signal(target)
        dtype = torch.promote_types(input.dtype, target.dtype)
        with torch.autocast(input.device.type, enabled=False):
            values = self.distance(input.to(dtype), target.to(dtype))
        if self.reduction == "none" and values.shape != input.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}.distance must give a value a sample, {list(input.shape[:1])}, not "
                f"{list(values.shape)}."
            )
        if self.reduction == "none" or values.ndim == 0:
            return values
        return values.mean() if self.reduction == "mean" else values.sum()

    @abstractmethod
    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        """The distance of each sample, ``[B]``: summed over its elements if ``reduction="sum"``, else averaged.

        Unless ``reduction="none"``, it may be reduced already, ``[]``.
        """
