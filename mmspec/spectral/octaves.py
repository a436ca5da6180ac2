"""Energy by octave: of a picture by orientation too, and of signals that do not end where they began.

Octaves are counted down from half the sampling frequency. The lowest reaches from 0, which it excludes (a mean value is
no oscillation), to 2 or 3 cycles per signal; the highest of a picture has the corners of the frequency plane besides.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.spectral.constants import constant
from mmspec.spectral.fourier import radius
from mmspec.spectral.signals import as_signal, spatial_axes

ORIENTATIONS = ("horizontal", "vertical", "diagonal")


def octave_edges(size: Sequence[int], count: int | None = None) -> list[float]:
    """Where octaves begin and end, ascending from 0 to half the sampling frequency.

    Args:
        size: of the signal along each axis, in samples.
        count: of octaves; None for as many as leave 2 cycles or more in the lowest.

    Returns:
        ``count + 1`` frequencies in cycles per signal (of a picture: per longer side). An octave has its upper edge.

    Raises:
        ValueError: for fewer octaves than one.
    """
    highest = max(size) / 2
    count = max(1, int(math.log2(max(highest, 1)))) if count is None else count
    if count < 1:
        raise ValueError(f"count of octaves must be 1 or more, not {count}.")
    return [0.0, *(highest / 2**below for below in reversed(range(count)))]


def octave_energy(x: Tensor, count: int | None = None) -> Tensor:
    """Energy in each octave; with the square of the mean value it sums to the mean square of x (Parseval).

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.
        count: of octaves, as for `octave_edges`.

    Returns:
        ``[B, C, octaves]``, in the squared unit of x, the lowest octave first.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes, or for fewer octaves than one.
    """
    return octave_product(x, x, count)


def octave_product(x: Tensor, y: Tensor, count: int | None = None) -> Tensor:
    """What two signals have in common in each octave: the real part of ``conj(X) Y``, summed over its frequencies.

    With the product of the mean values it sums to the mean of ``x y`` (Parseval).

    Args:
        x, y: ``[B, C, T]`` or ``[B, C, H, W]``, both.
        count: of octaves, as for `octave_edges`.

    Returns:
        ``[B, C, octaves]``, the lowest octave first; negative where one is rather the other's negative.

    Raises:
        TypeError: if one is not floating point.
        ValueError: if they differ in shape, have not one or two spatial axes, or for fewer octaves than one.
    """
    if x.shape != y.shape:
        raise ValueError(f"signals of one shape have octaves in common, not {list(x.shape)} and {list(y.shape)}.")
    x, y = as_signal(x), as_signal(y)
    size = tuple(x.shape[2:])
    return _sums(x, y, _octaves(size, count, x.device), len(octave_edges(size, count)))[..., 1:]


def oriented_octave_energy(x: Tensor, count: int | None = None) -> Tensor:
    """`octave_energy` of pictures, by the direction in which waves run: within 22.5 degrees of an axis, or diagonally.

    Args:
        x: ``[B, C, H, W]``.
        count: of octaves, as for `octave_edges`.

    Returns:
        ``[B, C, octaves, 3]`` in the order of ``ORIENTATIONS``: what vertical lines make are waves that run
        horizontally.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x is no picture, or for fewer octaves than one.
    """
    if x.ndim != 4:
        raise ValueError(f"orientations are of pictures [B, C, H, W], not of the shape {list(x.shape)}.")
    x = as_signal(x)
    size, kinds = tuple(x.shape[2:]), len(ORIENTATIONS)
    octaves = _octaves(size, count, x.device)
    index = torch.where(octaves == 0, 0, 1 + kinds * (octaves - 1) + _orientations(size, x.device))
    sums = _sums(x, x, index, 1 + kinds * (len(octave_edges(size, count)) - 1))
    return sums[..., 1:].reshape(*sums.shape[:2], -1, kinds)


def octave_part(x: Tensor, octave: int, count: int | None = None) -> Tensor:
    """The part of x in one octave; with its mean value, the parts of all octaves sum to x.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.
        octave: from 0, the lowest.
        count: of octaves, as for `octave_edges`.

    Returns:
        In the shape of x.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes, or there is no such octave.
    """
    x = as_signal(x)
    size = tuple(x.shape[2:])
    octaves = len(octave_edges(size, count)) - 1
    if not 0 <= octave < octaves:
        raise ValueError(f"octave must be 0 to {octaves - 1}, not {octave}.")
    half = torch.fft.rfftn(x, dim=spatial_axes(x))
    inside = (_octaves(size, count, x.device) == octave + 1).reshape(half.shape[2:])
    part: Tensor = torch.fft.irfftn(half * inside, s=size, dim=spatial_axes(x))
    return part


def frequencies_per_octave(size: Sequence[int], count: int | None = None) -> Tensor:
    """How many frequencies of the full spectrum lie in each octave, ``[octaves]`` int64.

    White noise of variance v has the energy ``v * frequencies / samples`` in an octave.
    """
    size = tuple(size)
    octaves = _octaves(size, count, torch.device("cpu"))
    total = torch.zeros(len(octave_edges(size, count))).scatter_add(0, octaves, _multiplicity(size, octaves.device))
    return total[1:].long()


@constant
def octaves_below_highest(size: tuple[int, ...], whole: tuple[int, ...], device: torch.device) -> Tensor:
    """In which octave of a signal each frequency lies, counted down from the highest, 1.

    Args:
        size: of the half spectrum, that of the signal or of a smaller copy of it.
        whole: of the signal, whose octaves are meant.
        device: where the result is.

    Returns:
        The half that `torch.fft.rfftn` computes, ``[*half]`` int64; 0 at frequency 0.
    """
    edges = octave_edges(whole)
    cycles = _half(radius(size, torch.device("cpu")))
    above = torch.bucketize(cycles, torch.tensor(edges[1:-1]))
    return torch.where(cycles == 0, 0, len(edges) - 1 - above).to(device)


def tapered(x: Tensor) -> Tensor:
    """Without its mean value, and faded at the ends by Hann windows, so that ends which differ put no energy elsewhere.

    The mean is weighted by the window. White noise keeps its power in the mean; a wave spreads over two cycles per
    signal on either side.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.

    Returns:
        In the shape of x.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes.
    """
    x = as_signal(x)
    window = _hann(tuple(x.shape[2:]), x.device).to(x.dtype)
    mean = (x * window).sum(spatial_axes(x), keepdim=True) / window.sum()
    return (x - mean) * window / window.square().mean().sqrt()


def mirrored(x: Tensor) -> Tensor:
    """With its mirror image behind it along each axis, so that its ends meet: a picture has no step at its borders.

    The transform of the result is the cosine transform of x (DCT-II), and every sample counts alike. Mean square and
    frequencies per sample stay; a frequency has twice as many cycles in the doubled signal.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.

    Returns:
        ``[B, C, 2 T]`` or ``[B, C, 2 H, 2 W]``.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes.
    """
    x = as_signal(x)
    for axis in spatial_axes(x):
        x = torch.cat([x, x.flip(axis)], axis)
    return x


def _sums(x: Tensor, y: Tensor, index: Tensor, count: int) -> Tensor:
    """What x and y have in common at the frequencies of one index, ``[B, C, count]``."""
    ours = torch.fft.rfftn(x, dim=spatial_axes(x), norm="forward")
    theirs = ours if y is x else torch.fft.rfftn(y, dim=spatial_axes(y), norm="forward")
    half = (ours.real * theirs.real + ours.imag * theirs.imag).flatten(2)
    half = half * _multiplicity(tuple(x.shape[2:]), x.device)
    nothing: Tensor = half.new_zeros(*half.shape[:2], count)
    return nothing.scatter_add(-1, index.expand(half.shape), half)


@constant
def _octaves(size: tuple[int, ...], count: int | None, device: torch.device) -> Tensor:
    """Of each frequency of the half spectrum, flat: 0 of frequency 0, 1 of the lowest octave."""
    edges = torch.tensor(octave_edges(size, count)[1:-1])
    cycles = _half(radius(size, torch.device("cpu")))
    return torch.where(cycles == 0, 0, 1 + torch.bucketize(cycles, edges)).flatten().to(device)


@constant
def _orientations(size: tuple[int, ...], device: torch.device) -> Tensor:
    vertical, horizontal = (torch.fft.fftfreq(n, dtype=torch.float64).abs() for n in size)
    angle = torch.atan2(*torch.meshgrid(vertical, horizontal, indexing="ij"))  # 0 where waves run horizontally
    eighths = (angle / (math.pi / 8)).round(decimals=9)
    kinds = torch.where(eighths <= 1, 0, torch.where(eighths >= 3, 1, 2))
    return _half(kinds).flatten().to(device)


@constant
def _multiplicity(size: tuple[int, ...], device: torch.device) -> Tensor:
    """How many frequencies of the full spectrum each of the half one stands for, flat."""
    twice = torch.full((size[-1] // 2 + 1,), 2.0)
    twice[0] = 1
    if size[-1] % 2 == 0:
        twice[-1] = 1
    return twice.expand(*size[:-1], -1).flatten().to(device)


@constant
def _hann(size: tuple[int, ...], device: torch.device) -> Tensor:
    # Without the zeros at its ends: a picture of two pixels is not all window.
    windows = [torch.hann_window(n + 2, periodic=False, dtype=torch.float64)[1:-1] for n in size]
    product = windows[0] if len(size) == 1 else torch.outer(*windows)
    taper: Tensor = product.to(device)
    return taper


def _half(full: Tensor) -> Tensor:
    return full[..., : full.shape[-1] // 2 + 1].contiguous()
