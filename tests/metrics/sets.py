"""Sets of signals with edges and onsets, as many as are wanted, and what is done to them to make them sick."""

import torch
from torch import Tensor
from torch.nn import functional


class Signals:
    """As `mmspec.metrics.signals.SignalSet` has them, without a file."""

    def __init__(self, x: Tensor, sample_rate: int | None = None, lengths: Tensor | None = None) -> None:
        self.x, self.sample_rate, self.lengths = x, sample_rate, lengths
        self.shape = tuple(x.shape[1:])


def pictures(count: int, size: int = 32, seed: int = 0) -> Tensor:
    """Dead leaves: discs of all sizes over one another, ``[count, 3, size, size]`` in [-1, 1] (Lee, Mumford 2001)."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    canvas = torch.rand(count, 3, 1, 1, generator=generator).expand(count, 3, size, size) * 2 - 1
    for _ in range(40):
        radius = 2 / torch.rand(count, 1, 1, generator=generator).clamp_min(2 / size).sqrt()
        middle = torch.rand(2, count, 1, 1, generator=generator) * size
        inside = (y - middle[0]).square() + (x - middle[1]).square() < radius.square()
        colour = torch.rand(count, 1, 1, 1, generator=generator) * 1.4 - 0.7
        colour = colour + 0.3 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
        canvas = torch.where(inside[:, None], colour, canvas)
    return canvas


def sounds(count: int, samples: int = 16384, rate: int = 22050, seed: int = 0) -> Tensor:
    """Strokes that ring and fade, over faint hiss: ``[count, 1, samples]`` in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / rate
    x = 0.003 * torch.randn(count, samples, generator=generator)
    for _ in range(6):
        begin, pitch, decay = torch.rand(3, count, 1, generator=generator)
        since = time - begin * samples / rate * 0.9
        strength = 0.05 + 0.2 * torch.rand(count, 1, generator=generator)
        ring = torch.sin(2 * torch.pi * 80 * 2 ** (6.5 * pitch) * since) * torch.exp(-since * (5 + 30 * decay))
        hiss = torch.randn(count, samples, generator=generator) * torch.exp(-since * 60)
        x += strength * torch.where(since > 0, ring + 0.5 * hiss, torch.zeros(()))
    return x[:, None].clamp(-1, 1)


def blurred(x: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 5, 5)
    return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=x.shape[1])


def sharpened(x: Tensor) -> Tensor:
    return x + 0.7 * (x - blurred(x))


def noised(x: Tensor, deviation: float = 0.08) -> Tensor:
    return x + deviation * torch.randn(x.shape, generator=torch.Generator().manual_seed(7))


def upsampled(x: Tensor) -> Tensor:
    return functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=False)


def scrambled(x: Tensor) -> Tensor:
    """Other phases, the same amplitudes."""
    axes = tuple(range(2, x.ndim))
    noise = torch.fft.fftn(torch.randn(x[:, :1].shape, generator=torch.Generator().manual_seed(7)), dim=axes)
    return torch.fft.ifftn(torch.fft.fftn(x, dim=axes) * noise / noise.abs(), dim=axes).real


def band_limited(x: Tensor, cutoff: float, rate: int) -> Tensor:
    spectrum = torch.fft.rfft(x)
    return torch.fft.irfft(spectrum * (torch.fft.rfftfreq(x.shape[-1], 1 / rate) <= cutoff), n=x.shape[-1])
