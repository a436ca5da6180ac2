"""One level of a discrete wavelet transform along one axis: a filter bank, computed as matrix products.

Short axes take one product with a matrix that contains the boundary too. Long axes are extended beyond their ends
and cut into overlapping windows, all multiplied with one small matrix. Filters and phases are PyWavelets'.
"""

import operator
from functools import lru_cache

import numpy as np
import pywt
import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.spectral.boundary import Indices, source
from mmspec.spectral.constants import constant

WAVELETS = tuple(pywt.wavelist(kind="discrete"))
DENSE_LIMIT = 128  # samples: up to here one matrix for the whole axis is the fastest


def coefficient_count(samples: int, wavelet: str, mode: str) -> int:
    """How many coefficients each of the two bands has."""
    if mode == "periodization":
        return (samples + 1) // 2
    return (samples + tap_count(wavelet) - 1) // 2


def sample_count(coefficients: int, wavelet: str, mode: str) -> int:
    """The longest signal with so many coefficients in each band, which is the even one."""
    if mode == "periodization":
        return 2 * coefficients
    return 2 * coefficients - tap_count(wavelet) + 2


def tap_count(wavelet: str) -> int:
    """Length of the wavelet's filters, always even."""
    return _TAPS[wavelet]


_TAPS = {name: pywt.Wavelet(name).dec_len for name in WAVELETS}


def analyze(x: Tensor, wavelet: str, mode: str, axis: int) -> Tensor:
    """Split an axis into a low and a high band.

    Args:
        x: float32 or float64, ``[..., n]`` or ``[..., n, m]``.
        wavelet: a name of `pywt.wavelist(kind="discrete")`.
        mode: one of `boundary.MODES`.
        axis: -1 or -2, the axis of n.

    Returns:
        The same shape with both bands one after the other, of `coefficient_count(n, ...)` each, in place of n.
    """
    n, taps = operator.index(x.shape[axis]), tap_count(wavelet)
    count = coefficient_count(n, wavelet, mode)
    if n <= DENSE_LIMIT:
        return _multiply(_analysis(wavelet, mode, n, x.dtype, x.device), x, axis)
    step = _step(taps)
    windows = -(-count // step)
    width = 2 * step + taps - 2
    left = taps - 1 - _analysis_phase(taps, mode)
    right = 2 * step * windows + taps - 2 - left - n
    x = _windows(_extend(x, left, right, mode, axis), width, 2 * step, axis)
    bands = _multiply(_analysis_window(wavelet, step, x.dtype, x.device), x, axis).unflatten(axis, (2, step))
    bands = bands.transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    return bands.narrow(axis, 0, count).flatten(axis - 1, axis)


def synthesize(bands: Tensor, wavelet: str, mode: str, axis: int, size: int) -> Tensor:
    """Join the two bands along an axis, the inverse of `analyze` for an axis that had `size` samples."""
    n, taps = operator.index(size), tap_count(wavelet)
    if n <= DENSE_LIMIT:
        return _multiply(_synthesis(wavelet, mode, n, bands.dtype, bands.device), bands, axis)
    count, step = coefficient_count(n, wavelet, mode), _step(taps)
    windows = -(-n // (2 * step))
    first, width = _synthesis_window_span(taps, mode, step)
    bands = bands.unflatten(axis, (2, count))
    bands = _extend(bands, -first, (windows - 1) * step + width + first - count, _WRAP.get(mode, "zero"), axis)
    bands = _windows(bands, width, step, axis).transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    x = _multiply(_synthesis_window(wavelet, mode, step, bands.dtype, bands.device), bands, axis)
    return x.flatten(axis - 1, axis).narrow(axis, 0, n)


_WRAP = {"periodization": "periodic"}  # the one mode whose coefficients go round; elsewhere none lie outside


def _multiply(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """`[out, n]` times every vector of x along an axis of n."""
    return x @ matrix.mT if axis == -1 else matrix @ x


def _windows(x: Tensor, width: int, step: int, axis: int) -> Tensor:
    """Windows along an axis: `[..., n]` -> `[..., windows, width]`, `[..., n, m]` -> `[..., windows, width, m]`."""
    x = x.unfold(axis, width, step)
    return x if axis == -1 else x.mT


def _extend(x: Tensor, left: int, right: int, mode: str, axis: int) -> Tensor:
    """Samples beyond both ends of an axis."""
    n = operator.index(x.shape[axis])
    if mode == "zero":
        return F.pad(x, (0, 0) * (-1 - axis) + (left, right))
    before, after = (_outside(start, stop, n, mode, x.device) for start, stop in ((-left, 0), (n, n + right)))
    return torch.cat((x.index_select(axis, before), x, x.index_select(axis, after)), axis)


def _step(taps: int) -> int:
    """Coefficients a band that one window gives: wide windows waste arithmetic on zeros, narrow ones overlap more."""
    return max(8, taps)


@constant
def _outside(start: int, stop: int, n: int, mode: str, device: torch.device) -> Tensor:
    return torch.tensor(source(np.arange(start, stop), n, mode), device=device)


# Coefficient k of a band is sum_j filter[j] x[2 k + phase - j]. Back, it adds filter[j] to sample 2 k + j - phase.


def _analysis_phase(taps: int, mode: str) -> int:
    return taps // 2 if mode == "periodization" else 1


def _synthesis_phase(taps: int, mode: str) -> int:
    return taps // 2 - 1 if mode == "periodization" else taps - 2


def _synthesis_window_span(taps: int, mode: str, step: int) -> tuple[int, int]:
    """The first coefficient that reaches samples 0 .. 2 step - 1, and how many do."""
    phase = _synthesis_phase(taps, mode)
    first, last = -((taps - 1 - phase) // 2), (2 * step - 1 + phase) // 2
    return first, last - first + 1


@constant
def _analysis(wavelet: str, mode: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The whole transform of n samples, `[2 count, n]`."""
    k, j = _grid(coefficient_count(n, wavelet, mode), tap_count(wavelet))
    column = source(2 * k + _analysis_phase(tap_count(wavelet), mode) - j, n, mode)
    return torch.tensor(_band_matrix(_filters(wavelet)[0], column, n), dtype=dtype, device=device)


@constant
def _analysis_window(wavelet: str, step: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`[2 step, 2 step + taps - 2]`."""
    taps = tap_count(wavelet)
    k, j = _grid(step, taps)
    matrix = _band_matrix(_filters(wavelet)[0], 2 * k + taps - 1 - j, 2 * step + taps - 2)
    return torch.tensor(matrix, dtype=dtype, device=device)


@constant
def _synthesis(wavelet: str, mode: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The whole inverse transform to n samples, `[n, 2 count]`."""
    count = coefficient_count(n, wavelet, mode)
    k, j = _grid(count, tap_count(wavelet))
    row = 2 * k + j - _synthesis_phase(tap_count(wavelet), mode)
    if mode == "periodization":
        row %= 2 * count
    return torch.tensor(_band_matrix(_filters(wavelet)[1], row, n).T, dtype=dtype, device=device)


@constant
def _synthesis_window(wavelet: str, mode: str, step: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`[2 step, 2 width]`."""
    taps = tap_count(wavelet)
    first, width = _synthesis_window_span(taps, mode, step)
    k, j = _grid(width, taps)
    matrix = _band_matrix(_filters(wavelet)[1], 2 * (k + first) + j - _synthesis_phase(taps, mode), 2 * step)
    return torch.tensor(matrix.T, dtype=dtype, device=device)


def _band_matrix(taps: np.ndarray, place: Indices, n: int) -> np.ndarray:
    """`[2 count, n]`: tap j of coefficient k at place[k, j], added where places coincide, dropped if outside."""
    k, j = np.nonzero((place >= 0) & (place < n))
    cell, cells = k * n + place[k, j], len(place) * n
    return np.stack([np.bincount(cell, filter[j], cells) for filter in taps]).reshape(-1, n)


def _grid(count: int, taps: int) -> tuple[Indices, Indices]:
    return np.arange(count)[:, None], np.arange(taps)[None]


@lru_cache
def _filters(wavelet: str) -> tuple[np.ndarray, np.ndarray]:
    """Decomposition and reconstruction filters, each `[2, taps]`, low then high."""
    low, high, inverse_low, inverse_high = pywt.Wavelet(wavelet).filter_bank
    return np.array([low, high]), np.array([inverse_low, inverse_high])
