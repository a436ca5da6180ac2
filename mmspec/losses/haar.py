"""The gradient of the L1 norm of a multi-level Haar transform by a few large products, without making the sub-bands.

All coefficients of a block of 4x4 or 16 samples, two or four levels of them, are one product with a 16x16 matrix.
The approximations that remain, one a block, are the signal of the next product.
"""

from typing import TypeAlias

import torch
from torch import Tensor

from mmspec.spectral.constants import constant
from mmspec.spectral.filter_bank import tap_count
from mmspec.spectral.wavelet import decompose

Weights: TypeAlias = tuple[tuple[float, ...], ...]  # [levels][bands], finest first; the low band's counts in the last

BLOCK_LEVELS = 4  # 2**4 samples a block: larger ones cost more arithmetic, smaller ones are too small for BLAS


def fits_blocks(x: Tensor, wavelet: str, levels: int) -> bool:
    """Whether `gradient` is for x ``[N, *spatial]``: two taps, and axes that 2**levels divides."""
    return tap_count(wavelet) == 2 and levels > 0 and all(n % 2**levels == 0 for n in x.shape[1:])


def gradient(x: Tensor, wavelet: str, weights: Weights) -> Tensor:
    """What `wavelet_l1.gradient` is for signals for which `fits_blocks`: ``[N, *spatial]`` -> the same shape."""
    dims = x.ndim - 1
    now, later = weights[: BLOCK_LEVELS // dims], weights[BLOCK_LEVELS // dims :]
    side = 2 ** (BLOCK_LEVELS // dims)
    if any(n % side for n in x.shape[1:]):
        side = 2 ** len(now)
    transform = _block_transform(wavelet, now, bool(later), side, dims, x.dtype, x.device)
    y = _to_blocks(x, side) @ transform
    if not later:
        return _from_blocks(y.sign_() @ transform.mT, side, x.shape)
    low = y[:, 0].view(x.shape[0], *(n // side for n in x.shape[1:]))
    by_low = gradient(low, wavelet, later)
    y.sign_()
    low.copy_(by_low)
    return _from_blocks(y @ transform.mT, side, x.shape)


@constant
def _block_transform(
    wavelet: str, weights: Weights, goes_on: bool, side: int, dims: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """From a block's samples to its weighted coefficients, approximation first: the transforms of all unit blocks."""
    units = torch.eye(side**dims, dtype=dtype, device=device).view(-1, 1, *[side] * dims)
    low, details = decompose(units, wavelet, "zero", len(weights))
    bands = [low if goes_on else low * weights[-1][0]]
    for level, of_level in zip(details, reversed(weights), strict=True):
        bands += [band * weight for band, weight in zip(level, of_level[1:], strict=True)]
    return torch.cat([band.flatten(1) for band in bands], 1)


def _to_blocks(x: Tensor, side: int) -> Tensor:
    """``[N, *spatial]`` -> ``[blocks, samples of a block]``."""
    if x.ndim == 2:
        return x.reshape(x.numel() // side, side)
    n, h, w = x.shape
    rows, run = _by_fours(x, side)
    blocks = rows.view(n, h // side, side, w // side, run).transpose(2, 3)
    return blocks.reshape(n * h * w // side**2, side * run).view(x.dtype)


def _from_blocks(blocks: Tensor, side: int, shape: torch.Size) -> Tensor:
    """The inverse of `_to_blocks`."""
    if len(shape) == 2:
        return blocks.view(shape)
    n, h, w = shape
    columns, run = _by_fours(blocks, side)
    rows = columns.view(n, h // side, w // side, side, run).transpose(2, 3)
    return rows.reshape(n, h, w // side * run).view(blocks.dtype)


def _by_fours(x: Tensor, side: int) -> tuple[Tensor, int]:
    """x, and how many elements a run of `side` samples is: one if four floats can pass for a complex number.

    Processors rearrange such elements up to four times as fast.
    """
    fours = side == 4 and x.is_contiguous() and x.dtype == torch.float32 and x.device.type == "cpu"
    return (x.view(torch.complex128), 1) if fours and not torch.compiler.is_compiling() else (x, side)
