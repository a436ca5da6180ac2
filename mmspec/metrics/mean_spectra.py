"""Numbers of two mean power spectra, with their uncertainty: distance, errors by side of a cut-off, slope, flatness."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.metrics.measure import Metric
from mmspec.metrics.octaves import Description
from mmspec.metrics.spectrum import CUTOFF_PER_SAMPLE, FLOOR
from mmspec.metrics.statistics import REPETITIONS, Interval, difference_interval, half_differences


@dataclass(frozen=True)
class Ranged:
    """A metric with its uncertainty.

    Attributes:
        metric: the number and what it means.
        interval: 95% of it.
        null_interval: 95% of the same between two halves of the real set.
    """

    metric: Metric
    interval: Interval
    null_interval: Interval


@dataclass(frozen=True)
class Contrast:
    """One number of two spectra.

    Attributes:
        name: of the metric.
        number: of levels ``[..., bins]`` of the real and the generated mean spectrum in dB.
        definition: what it is, of "mean power spectra".
        unit: of the number.
        signed: whether it has a sign, and no best.
    """

    name: str
    number: Callable[[Tensor, Tensor], Tensor]
    definition: str
    unit: str = "dB"
    signed: bool = False


def spectral_metrics(real: Description, generated: Description, seed: int = 0) -> list[Ranged]:
    """Numbers of the mean spectra of two sets, up to half the sampling frequency.

    Args:
        real, generated: sets with the same octaves.
        seed: of bootstrap and halvings.
    """
    nyquist, unit = real.octaves.edges[-1], real.octaves.unit
    kept = (real.frequency > 0) & (real.frequency <= nyquist)
    theirs, ours = (each.power[:, kept] for each in (real, generated))
    text = f"of mean power spectra (without steps at the ends) up to {nyquist:g} {unit}; {len(ours):,} generated, "
    text += f"{len(theirs):,} real."
    found = []
    for contrast in _contrasts(real.frequency[kept], 2 * CUTOFF_PER_SAMPLE * nyquist, unit):
        number = _of_power(contrast)
        value, low, high = difference_interval(theirs, ours, number, seed)
        null = half_differences(theirs, number, REPETITIONS, seed)
        ends = null.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        better = None if contrast.signed else "lower"
        metric = Metric(contrast.name, value.item(), f"{contrast.definition} {text}", contrast.unit, better)  # type: ignore[arg-type]
        found.append(Ranged(metric, Interval(low.item(), high.item()), Interval(*ends)))
    return found


def _of_power(contrast: Contrast) -> Callable[[Tensor, Tensor], Tensor]:
    def levels(power: Tensor) -> Tensor:
        decibels: Tensor = 10 * power.clamp_min(FLOOR * power.amax(-1, keepdim=True)).log10()
        return decibels

    return lambda real, generated: contrast.number(levels(real), levels(generated))


def _contrasts(frequency: Tensor, cutoff: float, unit: str) -> list[Contrast]:
    low, falling = frequency <= cutoff, frequency.log10() - frequency.log10().mean()

    def slope(levels: Tensor) -> Tensor:
        return -(levels / 10 * falling).sum(-1) / falling.square().sum()

    def flatness(levels: Tensor) -> Tensor:
        decibels: Tensor = levels.mean(-1) - 10 * (10 ** (levels / 10)).mean(-1).log10()
        return decibels

    contrasts = [
        Contrast("log_spectral_distance", lambda a, b: (b - a).square().mean(-1).sqrt(), "Root mean square difference"),
        Contrast("frequency_error_low", lambda a, b: (b - a)[..., low].abs().mean(-1), _side("up to", cutoff, unit)),
        Contrast("frequency_error_high", lambda a, b: (b - a)[..., ~low].abs().mean(-1), _side("above", cutoff, unit)),
        Contrast(
            "spectral_slope_bias",
            lambda a, b: slope(b) - slope(a),
            "Difference of alpha, by which power falls with frequency (f^-alpha, a line through logarithms), above 0 "
            "where generated signals fall more steeply,",
            unit="",
            signed=True,
        ),
        Contrast(
            "spectral_flatness_bias",
            lambda a, b: flatness(b) - flatness(a),
            "Difference of flatness (geometric over arithmetic mean), above 0 where generated signals are nearer to "
            "white noise,",
            signed=True,
        ),
    ]
    return contrasts if low.any() and not low.all() else [each for each in contrasts if "error" not in each.name]


def _side(where: str, cutoff: float, unit: str) -> str:
    return f"Mean absolute difference {where} {cutoff:g} {unit}"
