"""Calibrated correction while sampling: a gain an octave and noise level on x0_hat, which trains nothing.

`mmspec.diagnosis.calibration` finds the gains, on signals that the denoiser has not seen.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from mmspec.spectral.constants import constant
from mmspec.spectral.fourier import radius
from mmspec.spectral.octaves import mirrored, octave_edges
from mmspec.spectral.signals import as_signal, spatial_axes

LARGEST = 2.0  # 6 dB
SMOOTH = 1 / 16  # octaves on either side of a border, over which one gain becomes the next: edges ring less


@dataclass(frozen=True)
class Correction:
    """What x0_hat is multiplied by: linear in log sigma between noise levels, and beyond them as at the outermost.

    Octaves count down from half the sampling frequency, as `octave_edges` has them, so a gain is of the same pitch in
    signals of any length. Frequency 0 keeps its value.

    Args:
        sigmas: noise levels, ascending.
        gains: ``[sigmas][octaves]``, from 0 to 2, the lowest octave first.

    Raises:
        ValueError: if the levels do not ascend from above 0, or gains do not fit them or are out of range.
    """

    sigmas: tuple[float, ...]
    gains: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.sigmas or self.sigmas[0] <= 0 or any(a >= b for a, b in pairwise(self.sigmas)):
            raise ValueError("sigmas must be above 0 and ascend.")
        if len(self.gains) != len(self.sigmas) or len({len(row) for row in self.gains}) != 1 or not self.gains[0]:
            raise ValueError("gains must be a list for each of the sigmas, of as many octaves each.")
        if not all(0 <= gain <= LARGEST for row in self.gains for gain in row):
            raise ValueError(f"gains must be from 0 to {LARGEST:g}.")

    def at(self, sigma: float) -> Tensor:
        """Gains at a noise level, float64 ``[octaves]``."""
        levels = np.log(self.sigmas)
        return torch.tensor([np.interp(math.log(sigma), levels, each) for each in zip(*self.gains, strict=True)])

    def __call__(self, x0_hat: Tensor, sigma: float) -> Tensor:
        """x0_hat ``[B, C, *spatial]`` at a noise level, corrected; in its shape, float32 at least.

        Mirrored at its ends, as ends which differ would put energy of low octaves into high ones, and a gain of these
        back into those, again at each step. Where all gains are 1 not a bit changes.
        """
        x = as_signal(x0_hat)
        whole = mirrored(x)
        size = tuple(whole.shape[2:])
        excess = (self.at(sigma) - 1).to(x)
        half = torch.fft.rfftn(whole, dim=spatial_axes(x))
        half = half * (_shares(size, len(excess), x.device).to(x.dtype) @ excess).reshape(half.shape[2:])
        change: Tensor = torch.fft.irfftn(half, s=size, dim=spatial_axes(x))
        for axis in spatial_axes(x):
            change = change.narrow(axis, 0, x.shape[axis])
        return x + change


@constant
def _shares(size: tuple[int, ...], octaves: int, device: torch.device) -> Tensor:
    """How much of each octave's gain each frequency of the half spectrum takes, ``[frequencies, octaves]``.

    Rows sum to 1, but for frequency 0, which takes none.
    """
    cycles = radius(size, torch.device("cpu"))[..., : size[-1] // 2 + 1].flatten().double()
    borders = torch.tensor(octave_edges(size, octaves)[1:-1], dtype=torch.float64)
    distance = torch.log2(cycles[:, None] / borders).clamp(-SMOOTH, SMOOTH) / SMOOTH
    above = torch.sin(distance * math.pi / 2) / 2 + 0.5  # of each border, 0 to 1
    ones = torch.ones_like(cycles)[:, None]
    shares = torch.cat([ones, above], 1) - torch.cat([above, 0 * ones], 1)
    return torch.where(cycles[:, None] > 0, shares, 0.0).float().to(device)
