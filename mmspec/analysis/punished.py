"""What a regularizer punishes: its value for errors of several kinds that are equally large."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mmspec.analysis import figures
from mmspec.drawing.figure import Figure
from mmspec.spectral import octave_edges, octave_part
from mmspec.spectral.fourier import radius
from mmspec.spectral.signals import spatial_axes

WHITE = "white noise"  # whose value the others are compared with


def distortions(x: Tensor, error: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Signals that are wrong in six ways, each sample by the same squared error: what an L2 distance cannot tell apart.

    Args:
        x: clean signals, ``[B, C, *spatial]``.
        error: root mean square of each error, over the standard deviation of the sample; below 1.
        generator: of the noises.

    Returns:
        name -> signals, same shape.
    """
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    octaves = len(octave_edges(x.shape[2:])) - 1
    coarse, fine = octave_part(noise, octaves // 4), octave_part(noise, octaves - 1)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "faded": lambda amount: x + amount * (_mean(x) - x),
        "dull": lambda amount: _blurred(x, amount),
        "coarse noise": lambda amount: x + amount * coarse,
        WHITE: lambda amount: x + amount * noise,
        "fine noise": lambda amount: x + amount * fine,
        "shifted": lambda amount: _shifted(x, amount),
    }
    target = error * _size(x - _mean(x))
    return {name: _by(way, x, target) for name, way in ways.items()}


def values(loss: nn.Module, x: Tensor, distorted: Mapping[str, Tensor]) -> dict[str, float]:
    """Mean value of a regularizer for each distortion, over that for white noise.

    Args:
        loss: ``(input, target) -> [B]``.
        x: clean signals, ``[B, C, *spatial]``.
        distorted: what `distortions` returned.
    """
    found = {name: loss(y, x).mean().item() for name, y in distorted.items()}
    return {name: value / found[WHITE] for name, value in found.items()}


def punished(
    loss: nn.Module, title: str, x: Tensor, error: float, generator: torch.Generator, shown: int = 0
) -> Figure:
    """One signal distorted in each way, above what a regularizer makes of all.

    Args:
        loss, x, error, generator: as for `distortions` and `values`.
        title: of the figure.
        shown: which signal.
    """
    distorted = distortions(x, error, generator)
    drawing = figures.punished(
        {name: y[shown].numpy() for name, y in distorted.items()},
        values(loss, x, distorted),
        "over that of white noise",
    )
    caption = (
        f"Above: one of {len(x):,} signals, wrong in six ways by the same squared error, {error:.0%} of its standard "
        "deviation; below: mean value of the regularizer, 1 for white noise. A squared error is 1 everywhere."
    )
    return Figure(title, drawing, caption)


def _size(x: Tensor) -> Tensor:
    """Root mean square of each sample, ``[B, 1, ...]``."""
    return x.square().mean(tuple(range(1, x.ndim)), keepdim=True).sqrt()


def _mean(x: Tensor) -> Tensor:
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _by(way: Callable[[Tensor], Tensor], x: Tensor, target: Tensor) -> Tensor:
    """x distorted in a way that grows with its amount ``[B, 1, ...]`` from 0, such that errors have the target size."""

    def too_small(amount: Tensor) -> Tensor:
        return _size(way(amount) - x) < target

    high = torch.full_like(target, 1 / 64)
    while (small := too_small(high)).any():
        high = torch.where(small, 2 * high, high)
    low = torch.zeros_like(high)
    for _ in range(40):
        middle = (low + high) / 2
        small = too_small(middle)
        low, high = torch.where(small, middle, low), torch.where(small, high, middle)
    return way(high)


def _blurred(x: Tensor, amount: Tensor) -> Tensor:
    """By a Gaussian filter, e to the minus ``amount`` at half the sampling frequency."""
    size = x.shape[2:]
    gain = torch.exp(-amount * (2 * radius(tuple(size), x.device) / max(size)) ** 2)
    axes = spatial_axes(x)
    blurred: Tensor = torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * gain, dim=axes).real
    return blurred


def _shifted(x: Tensor, amount: Tensor) -> Tensor:
    """By ``amount`` samples along the last axis, around the end."""
    turn = torch.exp(-2j * torch.pi * torch.fft.rfftfreq(x.shape[-1]) * amount)
    shifted: Tensor = torch.fft.irfft(torch.fft.rfft(x) * turn, n=x.shape[-1])
    return shifted
