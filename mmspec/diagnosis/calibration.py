"""The gains of a `Correction`, found from what a denoiser makes of held-out signals.

The exact denoiser is ``D = E[x0 | x]``, of whatever distribution the signals are, so in every band
``E|D|^2 = E[Re conj(D) x0]``. What that lacks is a gain: ``E[Re conj(D) x0] / E|D|^2`` is the one after which the band
errs least, and has the energy that it should have given what it gets right.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from mmspec.diffusion.correction import LARGEST, Correction
from mmspec.errors import InputError
from mmspec.metrics.statistics import bootstrap_means, simultaneous_interval
from mmspec.spectral.octaves import mirrored, octave_edges, octave_energy, octave_product

FEWEST = 30  # signals of which an interval says something


class NothingToCorrect(InputError):
    """A denoiser whose bias lies within noise."""


@torch.no_grad()
def octave_moments(
    denoise: Callable[..., Tensor],
    batches: Iterable[tuple[Tensor, dict[str, Tensor]]],
    sigmas: Sequence[float],
    seed: int = 0,
) -> Tensor:
    """``|D|^2`` and ``Re conj(D) x0`` of each mirrored signal, by noise level and octave, over all channels.

    Args:
        denoise: ``D(x, sigma, **cond) -> x0_hat``.
        batches: clean signals ``[B, C, *spatial]`` as the denoiser sees them, of one size, and what it is told.
        sigmas: noise levels, which share one noise; each signal has it with both signs, as what noise and signal have
            in common by chance is then gone, which would hide a gain at high levels.
        seed: of the noise.

    Returns:
        ``[signals, levels, octaves, 2]`` float64, on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for x0, cond in batches:
        noise = torch.randn(x0.shape, generator=generator).to(x0)
        by_level = []
        for sigma in sigmas:
            level = x0.new_full((len(x0),), sigma)
            answers = [denoise(x0 + sign * sigma * noise, level, **cond) for sign in (1, -1)]
            by_level.append(torch.stack([_moments(answer, x0) for answer in answers]).mean(0))
        rows.append(torch.stack(by_level, 1))
    return torch.cat(rows)


def _moments(x0_hat: Tensor, x0: Tensor) -> Tensor:
    count = len(octave_edges(x0.shape[2:])) - 1
    d, x = mirrored(x0_hat.cpu().double()), mirrored(x0.cpu().double())
    return torch.stack([octave_energy(d, count).sum(1), octave_product(d, x, count).sum(1)], -1)


def calibrate(
    denoise: Callable[..., Tensor],
    batches: Iterable[tuple[Tensor, dict[str, Tensor]]],
    sigmas: Sequence[float],
    seed: int = 0,
) -> Correction:
    """The correction of a denoiser.

    A gain is exactly 1 where 1 lies in its interval, which holds for all levels and octaves at once: of a perfect
    denoiser 19 in 20 calibrations are refused. Gains are held between 0, where a band says nothing of the signal, and
    2: to multiply more would be to multiply mistakes.

    Args:
        denoise: ``D(x, sigma, **cond) -> x0_hat``, with guidance where there will be.
        batches: clean signals ``[B, C, *spatial]`` that it was not trained on, as it sees them, and what it is told.
        sigmas: noise levels that it knows.
        seed: of the noise, and of the bootstrap.

    Raises:
        InputError: for fewer than 30 signals.
        NothingToCorrect: if the measured bias lies within noise everywhere.
    """
    levels = sorted(sigmas)
    moments = octave_moments(denoise, batches, levels, seed)
    if len(moments) < FEWEST:
        raise InputError(f"{len(moments)} signals are too few to calibrate on: give {FEWEST} or more.")
    found = _ratio(moments.mean(0))
    low, high = simultaneous_interval(_ratio(bootstrap_means(moments, seed=seed)), found, len(moments))
    gains = torch.where((low <= 1) & (high >= 1), 1.0, found.clamp(0, LARGEST))
    if (gains == 1).all():
        raise NothingToCorrect(
            f"nothing to correct: the measured bias lies within noise at all of {len(levels)} levels and "
            f"{gains.shape[1]} octaves, over {len(moments)} signals."
        )
    return Correction(tuple(levels), tuple(tuple(row) for row in gains.tolist()))


def _ratio(moments: Tensor) -> Tensor:
    own, cross = moments.unbind(-1)
    return torch.where(own > 0, cross / own, 1.0)  # a band of zeros has no gain
