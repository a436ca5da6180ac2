"""Whether a treatment helped: differences from the untreated arm and from the placebo, seed by seed, in a sentence.

What decides is fixed beforehand: the mean size of the bias by octave. All else is told beside it, with intervals that
are wider the more there is to look at (Bonferroni).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmspec.metrics.measure import Better
from mmspec.metrics.statistics import PairedDifference, paired_difference

FEWEST = 2  # seeds, for an interval
DECIDING = "octave_error"
Finding = Literal["better", "worse", "not shown"]
Verdict = Literal["helps", "harms", "not shown"]


@dataclass(frozen=True)
class Arm:
    """What was measured of an arm, a row a seed; rows of two arms pair.

    Attributes:
        name: of the treatment.
        values: measure -> ``[seeds]``, or ``[seeds, signals]`` where signals pair too; ``octave_error`` is one.
        octave_bias: ``[seeds, octaves]`` in dB, signed, the lowest octave first.
    """

    name: str
    values: Mapping[str, Tensor]
    octave_bias: Tensor


@dataclass(frozen=True)
class ArmDifference:
    """One arm against another.

    Attributes:
        against: the other's name.
        finding: whether the deciding measure's 95% interval lies on one side of 0.
        differences: measure -> this arm minus the other, the deciding one at 95%, the others at 95% together.
        octaves: of the sizes of the biases ``|bias|``, by octave, at 95% together.
        changed: other measures and octaves (by number, from 0) whose intervals exclude 0.
    """

    against: str
    finding: Finding
    differences: dict[str, PairedDifference]
    octaves: list[PairedDifference]
    changed: tuple[list[str], list[int]]


@dataclass(frozen=True)
class Judgement:
    """What is found of a treatment.

    Attributes:
        name: of the treatment.
        verdict: "helps" only where it does better than none and, if it has one, than its placebo.
        none: it against the untreated arm.
        placebo: it against its placebo; None of a treatment that has none.
        sentence: all of this in words.
    """

    name: str
    verdict: Verdict
    none: ArmDifference
    placebo: ArmDifference | None
    sentence: str


def judge(
    treated: Arm, none: Arm, placebo: Arm | None, better: Mapping[str, Better], octaves: Sequence[str] = ()
) -> Judgement:
    """Weigh a treatment.

    Args:
        treated, none, placebo: arms of the same seeds, the second without the treatment; there need be no placebo.
        better: measure -> which values are better; ``octave_error`` must be one.
        octaves: what the octaves are called, such as "8 to 16 cycles/image"; empty for their numbers.

    Raises:
        ValueError: if there are fewer than 2 seeds, or arms of other seeds.
    """
    against_none = arm_difference(treated, none, better)
    against_placebo = None if placebo is None else arm_difference(treated, placebo, better)
    verdict: Verdict = "not shown"
    if against_none.finding == "worse":
        verdict = "harms"
    elif against_none.finding == "better" and (against_placebo is None or against_placebo.finding == "better"):
        verdict = "helps"
    said = [*_decided(treated.name, verdict, against_none, against_placebo), *_beside(against_none, better, octaves)]
    return Judgement(treated.name, verdict, against_none, against_placebo, f"{'; '.join(said)}.")


def arm_difference(treated: Arm, other: Arm, better: Mapping[str, Better]) -> ArmDifference:
    """One arm against another; arguments and errors as for `judge`."""
    shared = [name for name in better if name in treated.values and name in other.values]
    others = max(1, len(shared) - 1)
    differences = {}
    for name in shared:
        if treated.values[name].shape != other.values[name].shape:
            raise ValueError(f"{name} of {treated.name} and {other.name} must be of the same seeds and signals.")
        level = 0.95 if name == DECIDING else 1 - 0.05 / others
        differences[name] = paired_difference(treated.values[name] - other.values[name], level=level)
    sizes = treated.octave_bias.abs() - other.octave_bias.abs()
    by_octave = [paired_difference(each, level=1 - 0.05 / sizes.shape[1]) for each in sizes.unbind(1)]
    changed = [name for name in shared if name != DECIDING and 0 not in differences[name].interval]
    moved = [octave for octave, each in enumerate(by_octave) if 0 not in each.interval]
    return ArmDifference(
        other.name, finding(differences[DECIDING], better[DECIDING]), differences, by_octave, (changed, moved)
    )


def finding(difference: PairedDifference, better: Better) -> Finding:
    """What the interval of a difference says of an arm."""
    if 0 in difference.interval:
        return "not shown"
    return "better" if (difference.mean < 0) == (better == "lower") else "worse"


def stacked(rows: Sequence[Mapping[str, float | Sequence[float]]], names: Sequence[str]) -> dict[str, Tensor]:
    """Measures of seeds as tensors, ``[seeds]`` or ``[seeds, signals]`` float64, those that every seed has."""
    return {
        name: torch.tensor([row[name] for row in rows], dtype=torch.float64)
        for name in names
        if all(name in row for row in rows)
    }


def _decided(name: str, verdict: Verdict, none: ArmDifference, placebo: ArmDifference | None) -> list[str]:
    """What the verdict stands on, in words."""
    decisive = none.differences[DECIDING]
    words = {"helps": "helps", "harms": "harms", "not shown": "is not shown to help or harm"}
    differs = f"the mean size of the bias by octave differs by {_number(decisive)} from {none.against}"
    said = [f"{name} {words[verdict]}: {differs}"]
    if placebo is not None:
        by = f"by {_number(placebo.differences[DECIDING])} from its placebo"
        as_much = none.finding != "not shown" and placebo.finding != none.finding
        said.append(f"{by}: the placebo does as much" if as_much else by)
    if none.finding == "not shown":
        said.append(f"{decisive.seeds} seeds could have seen {decisive.detectable:.2g} dB")
    return said


def _beside(none: ArmDifference, better: Mapping[str, Better], octaves: Sequence[str]) -> list[str]:
    """What else changed for sure, what is better and what is worse for itself: a mean may hide either."""
    measures, moved = none.changed
    found: dict[Finding, list[str]] = {"better": [], "worse": []}
    for octave in moved:
        called = octaves[octave] if octaves else f"octave {octave + 1}"
        found[finding(none.octaves[octave], "lower")].append(f"{called} {_number(none.octaves[octave])}")
    for each in measures:
        found[finding(none.differences[each], better[each])].append(f"{each} {_number(none.differences[each], '')}")
    return [f"{word}: {', '.join(changes)}" for word, changes in found.items() if changes]


def _number(difference: PairedDifference, unit: str = " dB") -> str:
    low, high = difference.interval.low, difference.interval.high
    return f"{difference.mean:+.3g}{unit} ({low:+.3g} to {high:+.3g})"
