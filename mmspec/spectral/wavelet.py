"""Discrete wavelet transforms of signals: every discrete wavelet and the main boundary modes of PyWavelets.

Coefficients, their order and their counts are those of `pywt.dwt`, `pywt.dwt2`, `pywt.wavedec` and `pywt.wavedec2`.
Everything is differentiable any number of times, and computed in float32 (float64 for float64), also under autocast.
"""

import difflib
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from mmspec.spectral.boundary import MODES
from mmspec.spectral.filter_bank import FILTERS, analyze, coefficient_count, sample_count, synthesize, tap_count
from mmspec.spectral.signals import as_signal, spatial_axes

Bands: TypeAlias = tuple[Tensor, ...]
Size: TypeAlias = int | Sequence[int]


def dwt(x: Tensor, wavelet: str = "haar", mode: str = "symmetric") -> Bands:
    """One level of the discrete wavelet transform over the spatial axes.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``, floating point.
        wavelet: one of ``pywt.wavelist(kind="discrete")``.
        mode: how the signal goes on beyond its ends: "zero", "symmetric", "reflect", "periodic", "constant" or
            "periodization", the one with half as many coefficients as samples for every wavelet.

    Returns:
        The sub-bands ``(L, H)``, or ``(LL, LH, HL, HH)`` = pywt's (cA, cH, cV, cD), each ``[B, C, *spatial']``; LH is
        high along H and low along W. An axis of n samples has ``(n + taps - 1) // 2`` coefficients in each band,
        ``(n + 1) // 2`` with "periodization".

    Raises:
        TypeError: if x is not floating point.
        ValueError: for an unknown wavelet or mode, an empty axis, or other than one or two spatial axes.
    """
    check_wavelet(wavelet, mode)
    x = as_signal(x)
    if 0 in x.shape[2:]:
        raise ValueError(f"expected at least one sample along every spatial axis, got the shape {list(x.shape)}.")
    with torch.autocast(x.device.type, enabled=False):
        for axis in reversed(spatial_axes(x)):
            x = analyze(x, wavelet, mode, axis)
    if x.ndim == 3:
        return x.chunk(2, -1)
    (low_low, high_low), (low_high, high_high) = (half.chunk(2, -2) for half in x.chunk(2, -1))
    return low_low, high_low, low_high, high_high


def idwt(bands: Sequence[Tensor], wavelet: str = "haar", mode: str = "symmetric", size: Size | None = None) -> Tensor:
    """The inverse of `dwt`.

    Args:
        bands: ``(L, H)`` or ``(LL, LH, HL, HH)``, of one shape ``[B, C, *spatial]``.
        wavelet, mode: as given to `dwt`.
        size: spatial size of the signal, needed to get an odd size back; an int stands for every axis. Without it the
            longest signal with so many coefficients, as pywt does: ``2 n - taps + 2`` for n coefficients along an
            axis, ``2 n`` with "periodization".

    Returns:
        ``[B, C, *size]``.

    Raises:
        TypeError: if a band is not floating point.
        ValueError: for an unknown wavelet or mode, a wrong number or unequal shapes of the bands, or a size that
            does not give so many coefficients.
    """
    check_wavelet(wavelet, mode)
    bands = [as_signal(band) for band in bands]
    if not bands or len(bands) != 2 ** (bands[0].ndim - 2) or any(b.shape != bands[0].shape for b in bands):
        raise ValueError(
            "expected 2 bands [B, C, T] or 4 bands [B, C, H, W] of one shape, "
            f"got the shapes {[list(band.shape) for band in bands]}."
        )
    if len(bands) == 4:
        low_low, high_low, low_high, high_high = bands
        bands = [torch.cat((low_low, high_low), -2), torch.cat((low_high, high_high), -2)]
    x = torch.cat(tuple(bands), -1)
    sizes = _signal_size([n // 2 for n in x.shape[2:]], wavelet, mode, size)
    with torch.autocast(x.device.type, enabled=False):
        for axis, n in zip(spatial_axes(x), sizes, strict=True):
            x = synthesize(x, wavelet, mode, axis, n)
    return x


def wavedec(
    x: Tensor, wavelet: str = "haar", mode: str = "symmetric", levels: int | None = None
) -> list[Tensor | Bands]:
    """Several levels of `dwt`, each on the low band of the one before.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``, floating point.
        wavelet, mode: as for `dwt`.
        levels: 0 or more; None for the most at which a coefficient is still free of the boundary
            (``pywt.dwt_max_level``). More are allowed.

    Returns:
        ``[approximation, details of the coarsest level, ..., details of the finest]``, the layout of `pywt.wavedec`
        and `pywt.wavedec2`: details are a tensor H in 1D, a tuple ``(LH, HL, HH)`` in 2D.

    Raises:
        TypeError, ValueError: as `dwt`; ValueError for negative levels.
    """
    low, details = decompose(x, wavelet, mode, levels)
    return [low, *(high if len(high) > 1 else high[0] for high in details)]


def decompose(
    x: Tensor, wavelet: str = "haar", mode: str = "symmetric", levels: int | None = None
) -> tuple[Tensor, list[Bands]]:
    """What `wavedec` does to ``[B, C, *spatial]``, in a layout that is the same in 1D and 2D.

    Returns:
        The approximation, and the details of each level from the coarsest to the finest: ``(H,)`` or
        ``(LH, HL, HH)``.
    """
    check_wavelet(wavelet, mode)
    low = as_signal(x)
    if levels is None:
        levels = _most_levels(min(x.shape[2:]), wavelet)
    if levels < 0:
        raise ValueError(f"levels must be 0 or more, not {levels}.")
    details: list[Bands] = []
    for _ in range(levels):
        low, *high = dwt(low, wavelet, mode)
        details.append(tuple(high))
    return low, details[::-1]


def waverec(
    coefficients: Sequence[Tensor | Bands], wavelet: str = "haar", mode: str = "symmetric", size: Size | None = None
) -> Tensor:
    """The inverse of `wavedec`.

    Args:
        coefficients: in the layout of `wavedec`.
        wavelet, mode: as given to `wavedec`.
        size: spatial size of the signal, as for `idwt`; sizes between levels are known from the details.

    Returns:
        ``[B, C, *size]``.

    Raises:
        TypeError, ValueError: as `idwt`; ValueError where the bands of two levels do not fit.
    """
    if not coefficients or not isinstance(coefficients[0], Tensor):
        raise ValueError("expected coefficients [approximation, details, ...] that begin with a tensor.")
    low = as_signal(coefficients[0])
    details = [(level,) if isinstance(level, Tensor) else tuple(level) for level in coefficients[1:]]
    sizes: list[Size | None] = [high[0].shape[2:] for high in details[1:]]
    for high, n in zip(details, [*sizes, size], strict=False):  # without details there is one size too many
        low = idwt((low, *high), wavelet, mode, size=n)
    return low


def check_wavelet(wavelet: str, mode: str) -> None:
    """Raise ValueError for a wavelet or boundary mode that does not exist."""
    if wavelet not in FILTERS:
        near = difflib.get_close_matches(str(wavelet), FILTERS, n=3, cutoff=0.3)
        raise ValueError(
            f"{wavelet!r} is not a discrete wavelet: {'did you mean ' + ' or '.join(near) + '? ' if near else ''}"
            'pywt.wavelist(kind="discrete") lists them all.'
        )
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}.")


def _most_levels(samples: int, wavelet: str) -> int:
    return max(0, (samples // (tap_count(wavelet) - 1)).bit_length() - 1)


def _signal_size(counts: list[int], wavelet: str, mode: str, size: Size | None) -> list[int]:
    """Samples along each axis of a signal whose bands have so many coefficients: ``size`` if it fits."""
    fewest = coefficient_count(1, wavelet, mode)
    if min(counts) < fewest:
        raise ValueError(
            f"bands of {counts} coefficients belong to no signal: {wavelet!r} with mode={mode!r} "
            f"has at least {fewest} along each axis."
        )
    longest = [sample_count(n, wavelet, mode) for n in counts]
    if size is None:
        return longest
    sizes = [size] * len(counts) if isinstance(size, int) else list(size)
    if len(sizes) != len(counts) or any(n not in (m, m - 1) for n, m in zip(sizes, longest, strict=True)):
        raise ValueError(
            f"bands of {counts} coefficients do not belong to size={size}: under {wavelet!r} with mode={mode!r} "
            f"they give {longest}, or one sample less along an axis."
        )
    return sizes
