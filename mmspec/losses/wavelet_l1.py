"""The L1 norm of wavelet coefficients by one transform and its transpose, without a graph of autograd through either.

The norm of M x is ``<x, g>`` with ``g = M^T sign(M x)``, and g is its gradient as well, constant as long as no
coefficient changes its sign: taken for a constant it gives both.
"""

import torch
from torch import Tensor

from mmspec.losses import haar
from mmspec.losses.haar import Weights
from mmspec.spectral.constants import constant
from mmspec.spectral.filter_bank import adjoint, analyze, tap_count
from mmspec.spectral.wavelet import decompose
from mmspec.spectral.windows import overlap_add, windows

BLOCK = 64  # samples of sound that one product transforms by all levels: more cost arithmetic, fewer overlap more


def gradient(x: Tensor, wavelet: str, mode: str, weights: Weights, levels: int) -> Tensor:
    """Gradient of the weighted L1 norm of all coefficients by the signals.

    Args:
        x: float32 or float64, ``[N, *spatial]``.
        wavelet, mode: as for `mmspec.spectral.dwt`.
        weights: of the sub-bands by level, the finest first, not negative, at least one row.
        levels: of the transform; 0 for the signal's own L1 norm.

    Returns:
        ``[N, *spatial]``, 0 where the coefficients are.
    """
    if haar.fits_blocks(x, wavelet, levels):
        return haar.gradient(x, wavelet, weights)
    if _fits_windows(x, wavelet, mode, levels):
        return _by_windows(x, wavelet, weights)
    return _by_levels(x, wavelet, mode, weights, levels)


def _by_levels(x: Tensor, wavelet: str, mode: str, weights: Weights, levels: int) -> Tensor:
    if levels == 0:
        return x.sign() * weights[0][0]
    axes = range(-1, -x.ndim, -1)
    y = x
    for axis in axes:
        y = analyze(y, wavelet, mode, axis)
    low = (slice(None), *(slice(n // 2) for n in y.shape[1:]))
    later = weights[1:] if levels > 1 else weights[:1]
    by_low = _by_levels(y[low], wavelet, mode, later, levels - 1)
    y = _weighted_signs(y, weights[0])
    y[low] = by_low
    for axis in reversed(axes):
        y = adjoint(y, wavelet, mode, axis, x.shape[axis])
    return y


def _weighted_signs(bands: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Of the bands that lie side by side, in the order of `mmspec.spectral.dwt`."""
    signs = bands.sign()
    if len(set(weights)) == 1:
        return signs.mul_(weights[0])
    halves = [signs] if len(weights) == 2 else signs.chunk(2, -1)
    parts = [band for half in halves for band in half.chunk(2, 1)]
    for band, weight in zip(parts, weights, strict=True):
        band.mul_(weight)
    return signs


def _fits_windows(x: Tensor, wavelet: str, mode: str, levels: int) -> bool:
    """Whether sound goes on as if it had no ends, and a block's coefficients look at few samples beside it."""
    reach = (tap_count(wavelet) - 1) * (2**levels - 1)
    periodic = mode == "periodization" and x.ndim == 2 and x.shape[1] % BLOCK == 0
    return periodic and levels > 0 and reach <= 2 * BLOCK and x.shape[1] >= 4 * BLOCK


def _by_windows(x: Tensor, wavelet: str, weights: Weights) -> Tensor:
    first = _reach(wavelet, len(weights))[0]
    transform = _window_transform(wavelet, weights, x.dtype, x.device)
    count = x.shape[1] // BLOCK
    y = windows(x, count, len(transform), BLOCK, first, "periodization", -1) @ transform
    return overlap_add(y.sign_() @ transform.mT, x.shape[1], BLOCK, first, "periodization", -1)


@constant
def _window_transform(wavelet: str, weights: Weights, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[samples, BLOCK]``: from what a block's coefficients look at to all of them, weighted."""
    first, width = _reach(wavelet, len(weights))
    before = -(first // BLOCK)  # blocks
    blocks = before + 1 + -(-(first + width) // BLOCK)
    units = torch.eye(blocks * BLOCK, dtype=dtype, device=device)[:, None]
    low, details = decompose(units, wavelet, "periodization", len(weights))
    bands = [
        low * weights[-1][0],
        *(band * of_level[1] for (band,), of_level in zip(details, weights[::-1], strict=True)),
    ]
    own = [band.view(len(units), blocks, -1)[:, before] for band in bands]
    return torch.cat(own, 1).narrow(0, before * BLOCK + first, width).contiguous()


def _reach(wavelet: str, levels: int) -> tuple[int, int]:
    """The first sample that a block's coefficients look at, from the block's own first, and how many they do."""
    taps = tap_count(wavelet)
    phase, reach = taps // 2, 2**levels - 1  # coefficient k looks at 2 k + phase - taps + 1 to 2 k + phase
    return (phase - taps + 1) * reach, BLOCK - 2**levels + 1 + (taps - 1) * reach
