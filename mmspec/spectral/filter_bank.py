"""One level of a discrete wavelet transform along one axis: a filter bank, computed as matrix products.

Short axes take one product with a matrix that contains the boundary too. Long axes are extended beyond their ends
and cut into overlapping windows, all multiplied with one small matrix. Filters and phases are PyWavelets'.
"""

import pywt
import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.spectral.boundary import source
from mmspec.spectral.constants import constant

# Of every discrete wavelet: low and high pass of the decomposition, then of the reconstruction.
FILTERS = {name: tuple(map(tuple, pywt.Wavelet(name).filter_bank)) for name in pywt.wavelist(kind="discrete")}
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
    return len(FILTERS[wavelet][0])


def analyze(x: Tensor, wavelet: str, mode: str, axis: int) -> Tensor:
    """Split an axis into a low and a high band.

    Args:
        x: float32 or float64, ``[..., n]`` or ``[..., n, m]``.
        wavelet: a name in `FILTERS`.
        mode: one of `boundary.MODES`.
        axis: -1 or -2, the axis of n.

    Returns:
        The same shape with both bands one after the other, of ``coefficient_count(n, ...)`` each, in place of n.
    """
    n, taps = x.shape[axis], tap_count(wavelet)
    count = coefficient_count(n, wavelet, mode)
    if n <= DENSE_LIMIT:
        return _multiply(_analysis(wavelet, mode, n, x.dtype, x.device), x, axis)
    step = _step(taps)
    windows, width = -(-count // step), 2 * step + taps - 2
    x = _windows(x, windows, width, 2 * step, _analysis_phase(taps, mode) - taps + 1, mode, axis)
    bands = _multiply(_analysis_window(wavelet, step, x.dtype, x.device), x, axis)
    bands = torch.unflatten(bands, axis, (2, step)).transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    return bands.narrow(axis, 0, count).flatten(axis - 1, axis)


def synthesize(bands: Tensor, wavelet: str, mode: str, axis: int, size: int) -> Tensor:
    """Join the two bands along an axis, the inverse of `analyze` for an axis that had ``size`` samples."""
    n, taps = size, tap_count(wavelet)
    if n <= DENSE_LIMIT:
        return _multiply(_synthesis(wavelet, mode, n, bands.dtype, bands.device), bands, axis)
    step = _step(taps)
    windows = -(-n // (2 * step))
    first, width = _synthesis_window_span(taps, mode, step)
    beyond = "periodic" if mode == "periodization" else "zero"
    bands = torch.unflatten(bands, axis, (2, coefficient_count(n, wavelet, mode)))
    bands = _windows(bands, windows, width, step, first, beyond, axis)
    bands = bands.transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    x = _multiply(_synthesis_window(wavelet, mode, step, bands.dtype, bands.device), bands, axis)
    return x.flatten(axis - 1, axis).narrow(axis, 0, n)


def _multiply(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """``[out, n]`` times every vector of x along an axis of n."""
    return x @ matrix.mT if axis == -1 else matrix @ x


def _windows(x: Tensor, count: int, width: int, step: int, first: int, mode: str, axis: int) -> Tensor:
    """Windows at first, first + step, ... along an axis: ``[..., n, m]`` -> ``[..., count, width, m]``.

    A window is a block of ``step`` samples and the beginning of the next (``step <= width <= 2 step``).
    """
    blocks = count + 1 if width > step else count
    x = _extend(x, -first, blocks * step + first - x.shape[axis], mode, axis)
    x = torch.unflatten(x, axis, (blocks, step))
    if width == step:
        return x
    beginning = x.narrow(axis - 1, 1, count).narrow(axis, 0, width - step)
    return torch.cat((x.narrow(axis - 1, 0, count), beginning), axis)


def _extend(x: Tensor, left: int, right: int, mode: str, axis: int) -> Tensor:
    """So many samples more before and after those of an axis."""
    n = x.shape[axis]
    if not (left or right):
        return x
    if mode == "zero":
        return F.pad(x, (0, 0) * (-1 - axis) + (left, right))
    before, after = (_outside(start, stop, n, mode, x.device) for start, stop in ((-left, 0), (n, n + right)))
    return torch.cat((x.index_select(axis, before), x, x.index_select(axis, after)), axis)


def _step(taps: int) -> int:
    """Coefficients of each band that one window gives: wide ones multiply more zeros, narrow ones overlap more."""
    return max(16, taps // 2)


@constant
def _outside(start: int, stop: int, n: int, mode: str, device: torch.device) -> Tensor:
    return source(torch.arange(start, stop, device=device), n, mode)


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
    """The whole transform of n samples, ``[2 count, n]``."""
    taps = tap_count(wavelet)
    k, j = _grid(coefficient_count(n, wavelet, mode), taps, device)
    column = source(2 * k + _analysis_phase(taps, mode) - j, n, mode)
    return _band_matrix(FILTERS[wavelet][:2], column, n, dtype)


@constant
def _analysis_window(wavelet: str, step: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[2 step, 2 step + taps - 2]``."""
    taps = tap_count(wavelet)
    k, j = _grid(step, taps, device)
    return _band_matrix(FILTERS[wavelet][:2], 2 * k + taps - 1 - j, 2 * step + taps - 2, dtype)


@constant
def _synthesis(wavelet: str, mode: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The whole inverse transform to n samples, ``[n, 2 count]``."""
    taps, count = tap_count(wavelet), coefficient_count(n, wavelet, mode)
    k, j = _grid(count, taps, device)
    row = 2 * k + j - _synthesis_phase(taps, mode)
    if mode == "periodization":
        row = row % (2 * count)
    return _band_matrix(FILTERS[wavelet][2:], row, n, dtype).mT


@constant
def _synthesis_window(wavelet: str, mode: str, step: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[2 step, 2 width]``."""
    taps = tap_count(wavelet)
    first, width = _synthesis_window_span(taps, mode, step)
    k, j = _grid(width, taps, device)
    row = 2 * (k + first) + j - _synthesis_phase(taps, mode)
    return _band_matrix(FILTERS[wavelet][2:], row, 2 * step, dtype).mT


def _band_matrix(filters: tuple[tuple[float, ...], ...], place: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """``[2 count, n]``: tap j of coefficient k at place[k, j], added where places coincide, dropped if outside."""
    place = place.where((place >= 0) & (place < n), n).expand(2, -1, -1)
    taps = torch.tensor(filters, dtype=dtype, device=place.device)[:, None].expand(place.shape)
    matrix = taps.new_zeros(*place.shape[:2], n + 1).scatter_add(-1, place, taps)
    return matrix[..., :n].flatten(0, 1)


def _grid(count: int, taps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.arange(count, device=device)[:, None], torch.arange(taps, device=device)
