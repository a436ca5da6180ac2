"""Fourier spectra of signals: amplitude and phase, radially averaged power, energy below and above a cut-off.

The radius of a frequency is measured in cycles per image, or cycles per signal in 1D. An image that is not square
is measured along its longer side: a wave of equal pitch has an equal radius in every direction, and the radius of
a wave along the longer side is the number of its periods in the image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.spectral.constants import constant
from mmspec.spectral.signals import as_signal, spatial_axes


def spectrum(x: Tensor, norm: str = "ortho") -> tuple[Tensor, Tensor]:
    """Amplitude and phase of the discrete Fourier transform over the spatial axes.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.
        norm: "ortho" (unitary: Parseval's theorem without a factor), "backward" or "forward", as in `torch.fft`.

    Returns:
        ``(amplitude, phase)``, both in the shape of x with frequency 0 first; amplitude >= 0 in the unit of x,
        phase in [-pi, pi] radians and 0 where the amplitude is 0. float64 for float64, else float32.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes.
    """
    x = as_signal(x)
    transform = torch.fft.fftn(x, dim=spatial_axes(x), norm=norm)
    return transform.abs(), transform.angle()


def radial_power_spectrum(x: Tensor, sample_rate: float | None = None) -> tuple[Tensor, Tensor]:
    """Mean power of all frequencies of one radius, rounded to whole cycles per image (1D: per signal).

    The scale is that of the unitary transform: white noise of variance v has power v at every frequency, whatever
    the size. Parseval's theorem then reads ``sum(power * n) / sum(n) == mean(x**2)`` with n = `frequencies_per_bin`.
    The bins reach into the corners of the frequency plane, beyond half a cycle per pixel.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.
        sample_rate: of a 1D signal, in Hz, for frequencies in Hz.

    Returns:
        ``(frequencies [bins], power [B, C, bins])``; frequencies ascend from 0 in cycles per image (not square: per
        longer side), cycles per signal, or Hz.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes, or an image is given a sample rate.
    """
    x = as_signal(x)
    size = x.shape[2:]
    unit = _frequency_unit(size, sample_rate)
    power = torch.fft.fftn(x, dim=spatial_axes(x), norm="ortho").abs().square().flatten(2)
    count = frequencies_per_bin(size, x.device)
    index = _bins(tuple(size), x.device).expand(power.shape)
    total = power.new_zeros(*power.shape[:2], len(count)).scatter_add(-1, index, power)
    return torch.arange(len(count), device=x.device, dtype=x.dtype) * unit, total / count


def band_energy(x: Tensor, cutoff: float, sample_rate: float | None = None) -> tuple[Tensor, Tensor]:
    """Energy up to a cut-off frequency, and above it; together the mean square of x.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.
        cutoff: highest frequency of the low band, in cycles per image (not square: per longer side), cycles per
            signal, or Hz where ``sample_rate`` is given.
        sample_rate: of a 1D signal, in Hz.

    Returns:
        ``(low, high)``, both ``[B, C]``, in the squared unit of x.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if the cut-off is negative, x has not one or two spatial axes, or an image is given a sample rate.
    """
    if cutoff < 0:
        raise ValueError(f"cutoff must be 0 or more, not {cutoff}.")
    x = as_signal(x)
    size = x.shape[2:]
    low = radius(tuple(size), x.device) * _frequency_unit(size, sample_rate) <= cutoff
    half = torch.fft.rfftn(x, dim=spatial_axes(x), norm="forward").abs().square()
    low = low[..., : half.shape[-1]]
    return sum_over_spectrum(half * low, size), sum_over_spectrum(half * ~low, size)


def sum_over_spectrum(half: Tensor, size: Sequence[int]) -> Tensor:
    """Sum a symmetric quantity over the full spectrum, given the half that a real FFT computes.

    Every column of the half stands for two, but for frequency 0 and, in an even length, the highest.

    Args:
        half: ``[..., *spatial]``, a quantity equal at opposite frequencies (power, amplitude), laid out as
            `torch.fft.rfftn` does.
        size: spatial size of the signal.

    Returns:
        ``[...]``.
    """
    axes, column_axes = tuple(range(-len(size), 0)), tuple(range(1 - len(size), 0))
    once = half[..., 0]
    if size[-1] % 2 == 0:
        once = once + half[..., -1]
    return 2 * half.sum(axes) - (once.sum(column_axes) if column_axes else once)


def frequencies_per_bin(size: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """How many frequencies of the full spectrum `radial_power_spectrum` averages in each bin, ``[bins]`` int64."""
    return _bin_counts(tuple(size), torch.device(device))


def _frequency_unit(size: Sequence[int], sample_rate: float | None) -> float:
    """What one cycle per signal is in the unit asked for."""
    if sample_rate is None:
        return 1.0
    if len(size) != 1:
        raise ValueError("sample_rate is for 1D signals [B, C, T]; frequencies of images are in cycles per image.")
    return sample_rate / size[0]


@constant
def radius(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Of each frequency of the full spectrum, ``[*size]`` float32, in cycles per signal or per longer side."""
    # In float64 and rounded to float32, so that whole numbers of cycles are exact.
    axes = [torch.fft.fftfreq(n, dtype=torch.float64) * max(size) for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt().float().to(device)


@constant
def _bins(size: tuple[int, ...], device: torch.device) -> Tensor:
    return (radius(size, device) + 0.5).floor().long().flatten()


@constant
def _bin_counts(size: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.bincount(_bins(size, torch.device("cpu"))).to(device)
