"""What measurements say in words: which octaves, at which noise levels, and whose fault it is.

The rules, in their order:

| what is measured | what is said |
|---|---|
| D keeps more than is left of the signal (`denoising_bias` above 0) | too noisy: not trained enough |
| D is damped (`denoising_bias` below 0), or has less than the best linear filter (`bias_against` it below 0) | dull |
| a round trip through the first stage changes energy | the first stage loses it (not the denoiser, if that is right) |
| samples differ from real signals | samples do; the sampler is at fault if nothing else is |
| none of these | nothing to mend |

Each asks first that the interval, which holds for all octaves and levels together, leaves 0 out; then that the bias
matters; and of a denoiser that it or the linear filter resolves the octave at that noise level at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from mmspec.diagnosis.denoising import FURTHEST_DB, Bias
from mmspec.metrics.statistics import Interval

# 6% of the amplitude: halves of a set of a hundred pictures differ by as much, and nobody hears a smaller change.
MATTERS_DB = 0.5
# Of an octave's energy: where D and the best linear filter have less, noise hides the octave, and D rightly gives 0.
FAINT = 0.01

Kind = Literal["noisy", "dull", "first_stage", "samples"]


@dataclass(frozen=True)
class Axis:
    """The octaves of a measurement.

    Attributes:
        edges: where they begin and end, ascending from 0, one more than there are octaves.
        unit: of these, such as "cycles per image" or "Hz".
    """

    edges: Sequence[float]
    unit: str

    def within(self, low: float, high: float) -> list[int]:
        """The octaves that lie between two frequencies."""
        return [i for i, (a, b) in enumerate(pairwise(self.edges)) if a >= low and b <= high]

    def where(self, octaves: Sequence[int]) -> str:
        """In words, of the ascending numbers of octaves."""
        low, high, last = self.edges[octaves[0]], self.edges[octaves[-1] + 1], len(self.edges) - 2
        if octaves[0] == 0 and octaves[-1] == last:
            return "at all frequencies"
        if octaves[-1] == last:
            return f"above {low:g} {self.unit}"
        return f"below {high:g} {self.unit}" if octaves[0] == 0 else f"from {low:g} to {high:g} {self.unit}"


@dataclass(frozen=True)
class Denoising:
    """How a denoiser was found.

    Attributes:
        axis: its octaves.
        sigmas: noise levels, ascending.
        bias: of the denoiser, ``[levels, octaves]``.
        over_wiener: of its energy against that of the best linear filter, likewise.
        energy: of the stronger of the two, as a share of the clean signals', likewise.
    """

    axis: Axis
    sigmas: Sequence[float]
    bias: Bias
    over_wiener: Bias
    energy: Tensor

    @property
    def counts(self) -> Tensor:
        """Where there is something to be right or wrong about, ``[levels, octaves]`` bool."""
        return self.energy >= FAINT

    @property
    def noisy(self) -> Tensor:
        """Where noise is kept, ``[levels, octaves]`` bool."""
        return self.counts & above(self.bias)

    @property
    def dull(self) -> Tensor:
        """Where the signal is damped, or lacks what a linear filter has, ``[levels, octaves]`` bool."""
        return self.counts & ~self.noisy & (below(self.bias) | below(self.over_wiener))


@dataclass(frozen=True)
class SpectrumBias:
    """How signals were found beside real ones.

    Attributes:
        axis: their octaves.
        bias: ``[octaves]``.
        differs: whether it is more than chance, ``[octaves]`` bool.
    """

    axis: Axis
    bias: Bias
    differs: Tensor

    def octaves(self, sign: int) -> list[int]:
        """Those with too much (1) or too little (-1) energy."""
        return _true(self.differs & (sign * self.bias.decibels >= MATTERS_DB))


@dataclass(frozen=True)
class Finding:
    """Something to mend.

    Attributes:
        kind: whose fault, or which.
        sentence: in words, with numbers.
        octaves: (low, high), where it begins and ends, in the unit of the measurement.
        sigmas: (low, high) noise levels; None of what has none.
        bias_db: where it is surest.
        interval: 95% of it.
        gain_mends: whether a gain on what a denoiser puts out would: energy is too much or damped, not missing.
    """

    kind: Kind
    sentence: str
    octaves: tuple[float, float]
    sigmas: tuple[float, float] | None
    bias_db: float
    interval: Interval
    gain_mends: bool = False


def above(bias: Bias) -> Tensor:
    """Where a bias is above 0 for sure, and matters; in the shape of the bias."""
    return (bias.low > 0) & (bias.decibels >= MATTERS_DB)


def below(bias: Bias) -> Tensor:
    """Where a bias is below 0 for sure, and matters; in the shape of the bias."""
    return (bias.high < 0) & (bias.decibels <= -MATTERS_DB)


def findings(denoising: Denoising, first_stage: SpectrumBias | None, samples: SpectrumBias | None) -> list[Finding]:
    """What is to be mended, by the rules above.

    Args:
        denoising: of the denoiser, in the space where it works.
        first_stage: of its round trip, where there is one.
        samples: of what was drawn, if any was.
    """
    found = [*_of_denoiser(denoising, "noisy"), *_of_denoiser(denoising, "dull")]
    if first_stage is not None:
        found += _of_first_stage(first_stage, alone=not found)
    if samples is not None:
        found += _of_samples(samples, alone=not found)
    return found


def verdict(found: Sequence[Finding], denoising: Denoising) -> str:
    """In a sentence: what is to be mended, or how much could have been seen."""
    if found:
        said = "; ".join(finding.sentence for finding in found)
        return f"{said[0].upper()}{said[1:]}."
    ends = torch.maximum(denoising.bias.low.abs(), denoising.bias.high.abs())[denoising.counts]
    within = f"the denoiser is right within {ends.max():.1f} dB" if len(ends) else "no noise level shows any octave"
    return f"Nothing to mend: {within} in every octave and at every noise level that counts."


def _of_denoiser(measured: Denoising, kind: Literal["noisy", "dull"]) -> list[Finding]:
    where = measured.noisy if kind == "noisy" else measured.dull
    if not where.any():
        return []
    levels, octaves = _true(where.any(1)), _true(where.any(0))
    damped = where & (above(measured.bias) if kind == "noisy" else below(measured.bias))
    bias, over = (measured.bias, "") if damped.any() else (measured.over_wiener, " against the best linear filter")
    level, octave = divmod(_surest(bias, damped if damped.any() else where), where.shape[1])
    decibels, interval = _at(bias, (level, octave))
    box = len(levels) * len(octaves)
    spread = "" if (cells := int(where.sum())) == box else f", in {cells} of {box} octaves and levels"
    what = "too noisy: not trained enough, it keeps noise" if kind == "noisy" else "dull"
    surest = f"{measured.axis.where([octave])} at sigma {measured.sigmas[level]:.2g}"
    where_said = f"{measured.axis.where(octaves)} {_sigmas(measured.sigmas, levels)}"
    sentence = f"{what} {where_said} ({_number(decibels, interval)}{over} {surest}{spread})"
    sigmas = measured.sigmas[levels[0]], measured.sigmas[levels[-1]]
    return [Finding(kind, sentence, _ends(measured.axis, octaves), sigmas, decibels, interval, bool(damped.any()))]


def _of_first_stage(measured: SpectrumBias, alone: bool) -> list[Finding]:
    loses = "the first stage loses it, not the denoiser" if alone else "the first stage loses energy too"
    adds = "the first stage adds it, not the denoiser" if alone else "the first stage adds energy too"
    return [
        *_of_spectrum(measured, -1, "first_stage", f"{loses}: its round trip lacks energy"),
        *_of_spectrum(measured, 1, "first_stage", f"{adds}: its round trip has too much energy"),
    ]


def _of_samples(measured: SpectrumBias, alone: bool) -> list[Finding]:
    mend = ", though the denoiser is right: take more steps, or another sampler" if alone else ""
    return [
        *_of_spectrum(measured, -1, "samples", "samples lack energy", mend),
        *_of_spectrum(measured, 1, "samples", "samples have too much energy", mend),
    ]


def _of_spectrum(measured: SpectrumBias, sign: int, kind: Kind, what: str, mend: str = "") -> list[Finding]:
    octaves = measured.octaves(sign)
    if not octaves:
        return []
    chosen = torch.zeros_like(measured.differs)
    chosen[octaves] = True
    surest = _surest(measured.bias, chosen)
    decibels, interval = _at(measured.bias, (surest,))
    where, there = measured.axis.where(octaves), measured.axis.where([surest])
    shown = "" if there == where else f" {there}"
    sentence = f"{what} {where} ({_number(decibels, interval)}{shown}){mend}"
    return [Finding(kind, sentence, _ends(measured.axis, octaves), None, decibels, interval)]


def _surest(bias: Bias, where: Tensor) -> int:
    """The flat place whose interval is furthest from 0."""
    distance = torch.maximum(bias.low, -bias.high)
    return int(torch.where(where, distance, -torch.inf).argmax())


def _at(bias: Bias, place: tuple[int, ...]) -> tuple[float, Interval]:
    decibels, low, high = (part[place].item() for part in bias)
    return decibels, Interval(low, high)


def _number(decibels: float, interval: Interval) -> str:
    if abs(decibels) >= FURTHEST_DB:  # where biases are cut off, and intervals with them
        return f"{decibels:+.0f} dB or more"
    return f"{decibels:+.1f} dB, 95% {interval.low:+.1f} to {interval.high:+.1f}"


def _sigmas(sigmas: Sequence[float], levels: Sequence[int]) -> str:
    low, high = f"{sigmas[levels[0]]:.2g}", f"{sigmas[levels[-1]]:.2g}"
    if len(levels) == 1:
        return f"at sigma {low}"
    lowest, highest = levels[0] == 0, levels[-1] == len(sigmas) - 1
    if lowest and highest:
        return "at every sigma"
    return f"at sigma <= {high}" if lowest else f"at sigma >= {low}" if highest else f"at sigma {low} to {high}"


def _ends(axis: Axis, octaves: Sequence[int]) -> tuple[float, float]:
    return axis.edges[octaves[0]], axis.edges[octaves[-1] + 1]


def _true(where: Tensor) -> list[int]:
    return [index for index, is_so in enumerate(where.tolist()) if is_so]
