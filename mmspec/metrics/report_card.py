"""The spectral report card: where two sets of signals differ by octave, and whether that is more than chance."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.mean_spectra import Ranged, spectral_metrics
from mmspec.metrics.octaves import Description
from mmspec.metrics.statistics import (
    REPETITIONS,
    Interval,
    difference_interval,
    half_differences,
    holm,
    permutation_p,
)
from mmspec.metrics.two_sample import FOLDS, cross_validated_auc

FEWEST = 4 * FOLDS  # of a set's signals, for an interval and a classifier of two halves
LEVEL = 0.05
HALVINGS = 40  # of the real set, for the classifier: its best of them is about 97.5%


@dataclass(frozen=True)
class OctaveComparison:
    """One octave of two sets.

    Attributes:
        low, high: where it begins and ends.
        unit: of these, "cycles/image" or "Hz".
        bias_db: energy of a typical signal (the geometric mean), generated over real, in dB.
        interval: 95% of it.
        null_interval: 95% of the same between two halves of the real set.
        bias_p: that the energies are equal, by exchanging signals.
        auc: of a classifier that sees energies and structure of this octave; 0.5 where it sees no difference.
        auc_null: the largest of what it reaches between two halves of the real set, halved 40 times.
        auc_p: that there is no difference.
        kurtosis: of wavelet coefficients, the median over (real, generated) signals; 3 of noise.
        coherence: with the octave below, likewise; 0 of noise.
        bias_differs, structure_differs: whether energy, or anything that the classifier sees, differs at 5% over all
            octaves together (Holm 1979), and by more than halves of the real set do.
    """

    low: float
    high: float
    unit: str
    bias_db: float
    interval: Interval
    null_interval: Interval
    bias_p: float
    auc: float
    auc_null: float
    auc_p: float
    kurtosis: tuple[float, float]
    coherence: tuple[float, float]
    bias_differs: bool
    structure_differs: bool


@dataclass(frozen=True)
class Cut:
    """The bias of a part of the energy: of one channel, or one orientation.

    Attributes:
        name: of the channel or orientation.
        bias_db: ``[octaves]``, in dB.
        intervals: 95% of each.
    """

    name: str
    bias_db: list[float]
    intervals: list[Interval]


@dataclass(frozen=True)
class ReportCard:
    """What `report_card` finds.

    Attributes:
        counts: signals of the (real, generated) set.
        octaves: the lowest first.
        channels: of colour or stereo sound; empty of signals with one channel.
        orientations: of pictures; empty of sound.
        metrics: of mean spectra.
    """

    counts: tuple[int, int]
    octaves: list[OctaveComparison]
    channels: list[Cut]
    orientations: list[Cut]
    metrics: list[Ranged]

    @property
    def differs(self) -> bool:
        """Whether anything differs, at 5% over all octaves together."""
        return any(octave.bias_differs or octave.structure_differs for octave in self.octaves)


def verdict(card: ReportCard) -> str:
    """What a card says: where energy lacks, where there is too much, and where signals are built otherwise."""
    real, generated = card.counts
    if not card.differs:
        widest = max(max(abs(o.interval.low), abs(o.interval.high)) for o in card.octaves)
        return (
            f"No difference that {generated:,} generated and {real:,} real signals can show: energies are equal within "
            f"{widest:.1f} dB in every octave."
        )
    said = [
        _where("lack energy", [o for o in card.octaves if o.bias_differs and o.bias_db < 0]),
        _where("have too much energy", [o for o in card.octaves if o.bias_differs and o.bias_db > 0]),
        _where(
            "are built otherwise (edges, phases, spread of energy)",
            [o for o in card.octaves if o.structure_differs and not o.bias_differs],
            energy=False,
        ),
    ]
    return f"Generated signals {'; '.join(filter(None, said))}."


def _where(what: str, octaves: list[OctaveComparison], energy: bool = True) -> str:
    each = []
    for o in octaves:
        number = (
            f"{o.bias_db:+.1f} dB, 95% {o.interval.low:+.1f} to {o.interval.high:+.1f}"
            if energy
            else (f"told apart with AUC {o.auc:.2f}")
        )
        each.append(f"{o.low:g} to {o.high:g} {o.unit} ({number})")
    return f"{what} at {', '.join(each)}" if each else ""


def report_card(real: Description, generated: Description, seed: int = 0) -> ReportCard:
    """Compare two sets of signals by octave.

    Args:
        real, generated: sets with the same octaves.
        seed: of bootstraps, permutations and halvings.

    Raises:
        InputError: if there are too few signals, or their octaves differ.
    """
    for name, description in (("real", real), ("generated", generated)):
        if len(description) < FEWEST:
            raise InputError(
                f"{len(description)} {name} signals are too few to tell a difference from chance: {FEWEST} are needed, "
                "hundreds are better."
            )
    if real.octaves != generated.octaves:
        raise InputError(f"the sets have other octaves, {real.octaves.edges} and {generated.octaves.edges}.")
    theirs, ours = levels_db(real, real), levels_db(generated, real)
    channels = [Cut(*_cut(name, theirs[1][:, i], ours[1][:, i], seed)) for i, name in _parts(real.octaves.channels, 1)]
    orientations = [
        Cut(*_cut(name, theirs[2][..., i], ours[2][..., i], seed)) for i, name in _parts(real.octaves.orientations, 0)
    ]
    return ReportCard(
        counts=(len(real), len(generated)),
        octaves=_octaves((real, theirs[0]), (generated, ours[0]), seed),
        channels=channels,
        orientations=orientations,
        metrics=spectral_metrics(real, generated, seed),
    )


def _parts(names: tuple[str, ...], first: int) -> list[tuple[int, str]]:
    """Those worth a row of their own."""
    return list(enumerate(names))[first:] if len(names) > 1 else []


def levels_db(description: Description, real: Description) -> tuple[Tensor, Tensor, Tensor]:
    """Energies in dB, at least 60 dB below the mean of the real set, or silence would decide on every mean.

    Returns:
        Of all ``[N, octaves]``, by channel ``[N, channels, octaves]``, by orientation ``[N, octaves, orientations]``.
    """

    def decibels(energy: Tensor, reference: Tensor) -> Tensor:
        floor = (1e-6 * reference.mean(0)).clamp_min(1e-20)
        level: Tensor = 10 * energy.maximum(floor).log10()
        return level

    pairs = [(each.energy.sum(-1), each.energy[:, 0]) for each in (description, real)]
    (by_channel, by_orientation), (real_channel, real_orientation) = pairs
    levels = decibels(by_channel, real_channel)
    return levels[:, 0], levels, decibels(by_orientation, real_orientation)


def subtract(real: Tensor, generated: Tensor) -> Tensor:
    """Generated minus real mean levels, ``[repetitions, ...]`` each."""
    return generated - real


def _octaves(
    real: tuple[Description, Tensor], generated: tuple[Description, Tensor], seed: int
) -> list[OctaveComparison]:
    (theirs, their_levels), (ours, our_levels) = real, generated
    found, low, high = difference_interval(their_levels, our_levels, subtract, seed)
    nulls = half_differences(their_levels, subtract, REPETITIONS, seed)
    null_low, null_high = nulls.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    bias_p = permutation_p(their_levels, our_levels, subtract, REPETITIONS, seed)
    count, edges = len(theirs.octaves), theirs.octaves.edges
    features = [(octave_features(theirs, theirs, k), octave_features(ours, theirs, k)) for k in range(count)]
    aucs = [cross_validated_auc(*each, REPETITIONS, seed) for each in features]
    auc_nulls = [_auc_of_halves(each, seed) for each, _ in features]
    adjusted = holm([*bias_p.tolist(), *(p for _, p in aucs)])
    comparisons = []
    for k in range(count):
        null = Interval(null_low[k].item(), null_high[k].item())
        comparison = OctaveComparison(
            low=edges[k],
            high=edges[k + 1],
            unit=theirs.octaves.unit,
            bias_db=found[k].item(),
            interval=Interval(low[k].item(), high[k].item()),
            null_interval=null,
            bias_p=bias_p[k].item(),
            auc=aucs[k][0],
            auc_null=auc_nulls[k],
            auc_p=aucs[k][1],
            kurtosis=_medians(theirs.kurtosis, ours.kurtosis, k),
            coherence=_medians(theirs.coherence, ours.coherence, k),
            bias_differs=adjusted[k] < LEVEL and found[k].item() not in null,
            structure_differs=adjusted[count + k] < LEVEL and aucs[k][0] > auc_nulls[k],
        )
        comparisons.append(comparison)
    return comparisons


def octave_features(description: Description, real: Description, octave: int) -> Tensor:
    """What the classifier sees of an octave: levels by orientation and channel, and its structure.

    Returns:
        ``[N, features]``.
    """
    _, by_channel, by_orientation = levels_db(description, real)
    levels = [by_orientation[:, octave], by_channel[:, 1:, octave]]
    structure = [description.kurtosis[:, octave].clamp_min(1e-3).log(), description.coherence[:, octave]]
    return torch.cat([*levels, torch.stack(structure, 1)], 1)


def _auc_of_halves(features: Tensor, seed: int) -> float:
    generator, half = torch.Generator().manual_seed(seed), len(features) // 2
    found = []
    for _ in range(HALVINGS):
        order = torch.randperm(len(features), generator=generator)
        found.append(cross_validated_auc(features[order[:half]], features[order[half:]], 0, seed)[0])
    return max(found)


def _medians(real: Tensor, generated: Tensor, octave: int) -> tuple[float, float]:
    return real[:, octave].median().item(), generated[:, octave].median().item()


def _cut(name: str, real: Tensor, generated: Tensor, seed: int) -> tuple[str, list[float], list[Interval]]:
    found, low, high = difference_interval(real, generated, subtract, seed)
    return name, found.tolist(), [Interval(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)]
