"""By how much the spectra of two sets differ, at every frequency of the plane (Diffusion Probabilistic Model Made Slim,
figure 10).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mmspec.spectral import spectrum

AT_ONCE = 32  # signals: memory, not results
FLOOR = 1e-5  # of the largest amplitude: below it there is rounding


def log_amplitude(x: Tensor) -> Tensor:
    """Mean DFT amplitude over signals and channels, in dB, frequency 0 in the middle: ``[B, C, *spatial]`` ->
    ``[*spatial]`` float64; at least 100 dB below the largest.
    """
    mean = torch.stack([spectrum(part.double())[0].sum((0, 1)) for part in torch.split(x, AT_ONCE)]).sum(0)
    mean = mean / (x.shape[0] * x.shape[1])
    decibels: Tensor = torch.fft.fftshift(20 * mean.clamp_min(FLOOR * mean.max()).log10())
    return decibels


class Difference(NamedTuple):
    """Generated minus real.

    Attributes:
        decibels: ``[*spatial]``, frequency 0 in the middle.
        mean: mean absolute difference over all frequencies but 0.
    """

    decibels: Tensor
    mean: float


def amplitude_difference(real: Tensor, generated: Tensor) -> Difference:
    """How far the mean DFT amplitudes of generated signals are from those of real ones, in dB.

    Args:
        real, generated: sets ``[N, C, *spatial]`` of one shape but for N.

    Raises:
        ValueError: if the shapes differ.
    """
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(f"signals must have one shape, not {list(real.shape[1:])} and {list(generated.shape[1:])}.")
    decibels = log_amplitude(generated) - log_amplitude(real)
    oscillating = torch.ones_like(decibels)
    oscillating[tuple(size // 2 for size in decibels.shape)] = 0
    return Difference(decibels, ((decibels.abs() * oscillating).sum() / oscillating.sum()).item())
