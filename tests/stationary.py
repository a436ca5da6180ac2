"""Signals whose best denoiser is known: Gaussian, with a power spectrum like that of pictures and of sound.

They are spectra of the cosine transform, so that mirroring them at their ends puts no energy elsewhere.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft
import torch
from torch import Tensor

SIZES = [(32, 32), (128,)]
Change = Callable[[float, Tensor], Tensor]


def cycles(size: Sequence[int]) -> Tensor:
    """Cycles per longer side of each cosine."""
    axes = np.meshgrid(*(np.arange(n) / 2 / n * max(size) for n in size), indexing="ij")
    return torch.from_numpy(np.sqrt(sum(axis**2 for axis in axes)))


def octave(size: Sequence[int], index: int) -> Tensor:
    """Where the cosines of an octave are; -1 is the highest, with the corners of the frequency plane."""
    top, wave = max(size) / 2, cycles(size)
    low = top / 2**-index
    return (wave > low) & ((wave <= 2 * low) | (index == -1))


def power(size: Sequence[int]) -> Tensor:
    """``1 / f^(axes)``, in which every octave has much the same energy, and nothing at frequency 0."""
    frequency = cycles(size)
    return torch.where(frequency == 0, 0, 1 / frequency.clamp(min=0.5) ** len(size))


def filtered(x: Tensor, gain: Tensor) -> Tensor:
    axes = tuple(range(2, x.ndim))
    spectrum = scipy.fft.dctn(x.numpy(), axes=axes, norm="ortho") * gain.numpy()
    return torch.from_numpy(scipy.fft.idctn(spectrum, axes=axes, norm="ortho")).to(x.dtype)


def signals(count: int, size: Sequence[int], seed: int = 0) -> Tensor:
    white = torch.randn(count, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return filtered(white, power(size).sqrt())


def best(size: Sequence[int], change: Change | None = None) -> Callable[..., Tensor]:
    """The best denoiser; ``change(sigma, gain)`` spoils its filter."""

    def denoise(x: Tensor, sigma: Tensor, **cond: Tensor) -> Tensor:
        level = float(sigma.flatten()[0])
        gain = power(size) / (power(size) + level**2)
        return filtered(x, gain if change is None else change(level, gain))

    return denoise
