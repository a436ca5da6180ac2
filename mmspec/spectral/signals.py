"""What every spectral operator asks of its input: a floating-point signal ``[B, C, T]`` or ``[B, C, H, W]``."""

import torch
from torch import Tensor


def as_signal(x: Tensor) -> Tensor:
    """Check a signal and bring it to the precision in which spectra are computed.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``, floating point.

    Returns:
        The same values: float64 stays float64, everything else becomes float32 (there is no FFT in bfloat16).

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes.
    """
    if not x.dtype.is_floating_point:
        raise TypeError(f"expected a floating-point signal, got {x.dtype}: convert it, e.g. uint8 / 127.5 - 1.")
    if x.ndim not in (3, 4):
        raise ValueError(f"expected a signal [B, C, T] or [B, C, H, W], got the shape {list(x.shape)}.")
    return x if x.dtype == torch.float64 else x.float()


def spatial_axes(x: Tensor) -> tuple[int, ...]:
    """The axes that are transformed: ``(-1,)`` for ``[B, C, T]``, ``(-2, -1)`` for ``[B, C, H, W]``."""
    return tuple(range(2 - x.ndim, 0))
