"""What a denoiser puts into each octave at each noise level, beside what the best one would.

The best denoiser is ``D(x) = E[x0 | x]``, of whatever distribution the signals are. Its error is orthogonal to every
function of x, its own bands among them, so in each octave ``E |D|^2 = E Re conj(D) X0``. What is above that keeps
noise, what is below is damped; the gain ``E Re conj(D) X0 / E |D|^2`` makes the error the least that a gain can.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from mmspec.diffusion.denoiser import expand_sigma
from mmspec.metrics.octaves import SILENCE
from mmspec.metrics.statistics import bootstrap_means, simultaneous_interval
from mmspec.spectral import mirrored, octave_edges, octave_energy, octave_product, radial_power_spectrum
from mmspec.spectral.fourier import radius

FURTHEST_DB = 60.0  # of what has nothing in common with the signal, whose gain would be 0

Signals = Iterable[tuple[Tensor, dict[str, Tensor]]]  # batches of clean ones, and what a denoiser is told of them


class Energies(NamedTuple):
    """What was denoised at one noise level, signal by signal: ``[N, octaves]`` float64 each, summed over channels.

    Attributes:
        denoised: ``|D|^2``.
        shared: ``Re conj(D) X0``.
        clean: ``|X0|^2``.
    """

    denoised: Tensor
    shared: Tensor
    clean: Tensor

    @classmethod
    def of(cls, denoised: Tensor, clean: Tensor, octaves: int | None = None) -> Self:
        """Of denoised signals and the clean ones, ``[B, C, *spatial]`` both, mirrored at their ends.

        Args:
            denoised, clean: the signals.
            octaves: how many, as for `octave_edges`.
        """
        count = len(octave_edges(clean.shape[2:], octaves)) - 1
        d, x0 = (mirrored(signal.detach().cpu().double()) for signal in (denoised, clean))
        energies = octave_energy(d, count), octave_product(d, x0, count), octave_energy(x0, count)
        return cls(*(energy.sum(1) for energy in energies))

    @classmethod
    def joined(cls, parts: Sequence["Energies"]) -> Self:
        """Of all signals of several batches."""
        return cls(*(torch.cat(each) for each in zip(*parts, strict=True)))

    @property
    def error(self) -> Tensor:
        """``|D - X0|^2``, ``[N, octaves]``."""
        return (self.denoised - 2 * self.shared + self.clean).clamp(min=0)


def bias_db(denoised: Tensor, shared: Tensor) -> Tensor:
    """How much too strong a denoiser is: the gain that mends it, in dB with the other sign; 0 for the best one.

    Args:
        denoised, shared: means of `Energies`, of any shape.

    Returns:
        In their shape; above 0 noise is kept, below the signal is damped. Within 60 dB either way.
    """
    gain = shared / denoised.clamp(min=SILENCE)
    decibels = -20 * gain.clamp(min=1e-12).log10()
    return torch.where(denoised > SILENCE, decibels, 0).clamp(-FURTHEST_DB, FURTHEST_DB)


class Bias(NamedTuple):
    """In dB, with intervals that hold for all values together at 95%.

    Attributes:
        decibels, low, high: ``[levels, octaves]`` float64, or ``[octaves]``.
    """

    decibels: Tensor
    low: Tensor
    high: Tensor


def denoising_bias(levels: Sequence[Energies], seed: int = 0) -> Bias:
    """`bias_db` at each noise level, ``[levels, octaves]``, by drawing signals with replacement.

    Args:
        levels: of the same signals at each.
        seed: of the draws.

    Raises:
        ValueError: for fewer than 2 signals.
    """
    denoised, shared = (torch.stack([getattr(each, name) for each in levels], 1) for name in ("denoised", "shared"))
    return _drawn(bias_db, denoised, shared, seed)


def bias_against(levels: Sequence[Energies], reference: Sequence[Energies], seed: int = 0) -> Bias:
    """Energy of one denoiser over that of another, ``[levels, octaves]``; arguments as for `denoising_bias`.

    Raises:
        ValueError: for fewer than 2 signals.
    """
    ours, theirs = (torch.stack([each.denoised for each in part], 1) for part in (levels, reference))
    return _drawn(_over_db, ours, theirs, seed)


def error_against(ours: Sequence[Energies], theirs: Sequence[Energies], weight: Tensor, seed: int = 0) -> Bias:
    """The weighted error of one denoiser over that of another, ``[octaves]``, over all noise levels together.

    Args:
        ours, theirs: of the same signals at each of the same levels.
        weight: of each level, ``[levels]``.
        seed: of the draws.

    Raises:
        ValueError: for fewer than 2 signals.
    """
    errors = [
        sum((w * level.error for w, level in zip(weight.double(), part, strict=True)), torch.zeros(()))
        for part in (ours, theirs)
    ]
    return _drawn(_over_db, errors[0], errors[1], seed)


def _over_db(ours: Tensor, theirs: Tensor) -> Tensor:
    return (10 * (ours.clamp(min=SILENCE) / theirs.clamp(min=SILENCE)).log10()).clamp(-FURTHEST_DB, FURTHEST_DB)


def _drawn(decibels: Callable[[Tensor, Tensor], Tensor], ours: Tensor, theirs: Tensor, seed: int) -> Bias:
    """Of means over signals, the first axis."""
    found = decibels(ours.mean(0), theirs.mean(0))
    draws = decibels(bootstrap_means(ours, seed=seed), bootstrap_means(theirs, seed=seed))
    return Bias(found, *simultaneous_interval(draws, found, len(ours)))


def as_it_is(x: Tensor) -> Tensor:
    """x itself, in the same shape."""
    return x


@torch.no_grad()
def measure_energies(
    denoiser: Callable[..., Tensor],
    signals: Signals,
    sigma: float,
    seed: int = 0,
    *,
    octaves: int | None = None,
    view: Callable[[Tensor], Tensor] = as_it_is,
) -> Energies:
    """The energies of a denoiser at a noise level; noise is the same at every level, and whatever the batches are.

    Args:
        denoiser: ``denoiser(x, sigma, **cond) -> x0_hat``, signals ``[B, C, *spatial]``.
        signals: batches of clean signals, and conditions.
        sigma: noise level.
        seed: of the noise.
        octaves: how many, as for `octave_edges`.
        view: how denoised and clean signals are looked at, such as decoded; that the best has no bias holds for linear
            views, and for others as far as they are linear over the error.
    """
    generator, parts = torch.Generator().manual_seed(seed), []
    for x0, cond in signals:
        level = torch.full((len(x0),), sigma, device=x0.device)
        noise = torch.stack([torch.randn(x0.shape[1:], generator=generator) for _ in x0]).to(x0)
        denoised = denoiser(x0 + expand_sigma(level, x0) * noise, level, **cond)
        parts.append(Energies.of(view(denoised), view(x0), octaves))
    return Energies.joined(parts)


class WienerDenoiser:
    """The best linear denoiser that is alike everywhere: ``S / (S + sigma^2)``, by the power spectrum S of signals.

    The best denoiser of all has at least its energy and at most its error in each octave.

    Args:
        signals: batches of clean signals ``[B, C, *spatial]``, whose mean power at all frequencies of one radius is S,
            channel by channel.
    """

    def __init__(self, signals: Signals) -> None:
        powers = torch.cat([_by_radius(mirrored(x0.cpu().double())) for x0, _ in signals])
        self.power = powers.mean(0)

    def __call__(self, x: Tensor, sigma: Tensor, **cond: Tensor) -> Tensor:
        """Denoised signals in the shape of x, ``[B, C, *spatial]``, whose mean values stay; ``sigma`` is ``[B]``."""
        whole, axes = mirrored(x), tuple(range(2, x.ndim))
        power = self.power.to(whole)[:, _bins(whole)]
        gain = power / (power + expand_sigma(sigma, whole).square())
        gain.flatten(2)[..., 0] = 1
        denoised: Tensor = torch.fft.ifftn(torch.fft.fftn(whole, dim=axes) * gain, dim=axes).real
        for axis in axes:
            denoised = denoised.narrow(axis, 0, x.shape[axis])
        return denoised


def _by_radius(whole: Tensor) -> Tensor:
    """Mean power of mirrored signals at all frequencies of one radius, ``[B, C, bins]``; of white noise its variance.

    Mirrored noise has twice its power where an axis has no wave, and none at the highest frequency of an axis.
    """
    power = radial_power_spectrum(whole)[1]
    white = torch.ones(1, 1, *whole.shape[2:], dtype=whole.dtype)
    for axis in range(2, whole.ndim):
        white.narrow(axis, 0, 1).mul_(2)
        white.narrow(axis, whole.shape[axis] // 2, 1).zero_()
    bins = _bins(whole)
    total = torch.zeros(power.shape[-1], dtype=whole.dtype).scatter_add(0, bins.flatten(), white.flatten())
    count = torch.bincount(bins.flatten())
    return power * count / total.clamp(min=1)


def _bins(whole: Tensor) -> Tensor:
    """Which radius each frequency of the full spectrum has, rounded to whole cycles, ``[*spatial]``."""
    return (radius(tuple(whole.shape[2:]), whole.device) + 0.5).floor().long()
