"""Signals as they are stored, and as networks see them.

torch is imported only where arrays become tensors: preparing data needs none of it.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def decode(stored: np.ndarray) -> "Tensor":
    """Stored samples as a network sees them.

    Args:
        stored: uint8 ``[B, H, W, C]``, int16 ``[B, T]`` or ``[B, T, C]``, or float32 latents ``[B, *spatial, C]``.

    Returns:
        ``[B, C, *spatial]`` float32 in [-1, 1]: uint8 / 127.5 - 1, int16 / 32768; latents as they are.
    """
    import torch

    x = torch.from_numpy(stored)
    x = x.unsqueeze(1) if x.ndim == 2 else x.movedim(-1, 1)
    x = x.to(torch.float32, memory_format=torch.contiguous_format)
    if stored.dtype == np.float32:
        return x
    return x.div_(127.5).sub_(1) if stored.dtype == np.uint8 else x.div_(32768)


def decode_sound(stored: np.ndarray) -> np.ndarray:
    """As `decode` of int16 ``[B, T]`` or ``[B, T, C]``, without torch: ``[B, C, T]`` float32."""
    x = stored[:, None] if stored.ndim == 2 else np.moveaxis(stored, -1, 1)
    return x.astype(np.float32) / np.float32(32768)


def encode(x: "Tensor | np.ndarray") -> np.ndarray:
    """Signals as they are stored: the way back from `decode`.

    Args:
        x: ``[B, C, H, W]`` or ``[B, C, T]``, floating point, nominally in [-1, 1].

    Returns:
        uint8 ``[B, H, W, C]``, or int16 ``[B, T]`` (``[B, T, C]`` where there are several channels).

    Raises:
        ValueError: if x has not one or two spatial axes, or is not finite.
    """
    if x.ndim not in (3, 4):
        raise ValueError(f"expected signals [B, C, T] or [B, C, H, W], got the shape {list(x.shape)}.")
    array = np.moveaxis(to_array(x), 1, -1)
    if not np.isfinite(array).all():
        raise ValueError("signals with NaN or infinity cannot be stored.")
    if array.ndim == 4:
        return to_uint8(array)
    return to_int16(array[..., 0] if array.shape[-1] == 1 else array)


def to_array(x: "Tensor | np.ndarray") -> np.ndarray:
    """The same numbers, float32 of the same shape, wherever they are."""
    return x.astype(np.float32, copy=False) if isinstance(x, np.ndarray) else x.detach().float().cpu().numpy()


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] as pictures store them: (x * 127.5 + 128) clipped to [0, 255] and cut to integers."""
    return (values * 127.5 + 128).clip(0, 255).astype(np.uint8)


def to_int16(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] as sound stores them: x * 32768 rounded and clipped, the inverse of `decode`."""
    rounded: np.ndarray = np.rint(values * 32768)
    return rounded.clip(-32768, 32767).astype(np.int16)
