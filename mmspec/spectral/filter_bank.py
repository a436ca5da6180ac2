"""One level of a discrete wavelet transform along one axis: a filter bank, computed as matrix products.

Short axes take one product with a matrix that contains the boundary too. Long axes are extended beyond their ends
and cut into overlapping windows, all multiplied with one small matrix. Filters and phases are PyWavelets'.
"""

import pywt
import torch
from torch import Tensor

from mmspec.spectral.boundary import source
from mmspec.spectral.constants import constant
from mmspec.spectral.windows import overlap_add, windows

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
    x = windows(x, -(-count // step), 2 * step + taps - 2, 2 * step, _analysis_phase(taps, mode) - taps + 1, mode, axis)
    bands = _multiply(_analysis_window(wavelet, step, x.dtype, x.device), x, axis)
    bands = torch.unflatten(bands, axis, (2, step)).transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    return bands.narrow(axis, 0, count).flatten(axis - 1, axis)


def adjoint(bands: Tensor, wavelet: str, mode: str, axis: int, size: int) -> Tensor:
    """The transpose of `analyze`: from a gradient by the bands to one by what they were made of.

    Args:
        bands: float32 or float64, ``[..., 2 count]`` or ``[..., 2 count, m]``, one band after the other.
        wavelet, mode, axis: as given to `analyze`.
        size: n, samples of the axis before.

    Returns:
        The same shape with n in place of 2 count.
    """
    n, taps = size, tap_count(wavelet)
    if n <= DENSE_LIMIT:
        return _multiply(_analysis(wavelet, mode, n, bands.dtype, bands.device).mT, bands, axis)
    step, count = _step(taps), coefficient_count(n, wavelet, mode)
    bands = torch.unflatten(bands, axis, (2, count))
    bands = windows(bands, -(-count // step), step, step, 0, "zero", axis)
    bands = bands.transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    x = _multiply(_analysis_window(wavelet, step, bands.dtype, bands.device).mT, bands, axis)
    return overlap_add(x, n, 2 * step, _analysis_phase(taps, mode) - taps + 1, mode, axis)


def synthesize(bands: Tensor, wavelet: str, mode: str, axis: int, size: int) -> Tensor:
    """Join the two bands along an axis, the inverse of `analyze` for an axis that had ``size`` samples."""
    n, taps = size, tap_count(wavelet)
    if n <= DENSE_LIMIT:
        return _multiply(_synthesis(wavelet, mode, n, bands.dtype, bands.device), bands, axis)
    step = _step(taps)
    first, width = _synthesis_window_span(taps, mode, step)
    beyond = "periodic" if mode == "periodization" else "zero"
    bands = torch.unflatten(bands, axis, (2, coefficient_count(n, wavelet, mode)))
    bands = windows(bands, -(-n // (2 * step)), width, step, first, beyond, axis)
    bands = bands.transpose(axis - 2, axis - 1).flatten(axis - 1, axis)
    x = _multiply(_synthesis_window(wavelet, mode, step, bands.dtype, bands.device), bands, axis)
    return x.flatten(axis - 1, axis).narrow(axis, 0, n)


def _multiply(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """``[out, n]`` times every vector of x along an axis of n."""
    return x @ matrix.mT if axis == -1 else matrix @ x


def _step(taps: int) -> int:
    """Coefficients of each band that one window gives: wide ones multiply more zeros, narrow ones overlap more."""
    return max(16, taps // 2)


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
