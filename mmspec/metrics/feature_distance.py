"""Fréchet and kernel distance of two sets by feature vectors of their signals."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.metrics.features import Extractor
from mmspec.metrics.frechet import Moments, frechet_distance, kernel_distance, kernel_distance_in_blocks, moments
from mmspec.metrics.mean_spectra import Ranged
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.signals import SignalSet
from mmspec.metrics.statistics import Interval

# The kernel distance sees at most so many vectors of each set, which bounds its memory.
KERNEL_VECTORS = 2000
HALVINGS = 40  # of sets, for the intervals of their distances


@dataclass(frozen=True)
class FeatureSummary:
    """What is kept of the features of a set, however large it is.

    Attributes:
        moments: of all.
        vectors: ``[n, D]``, at most ``KERNEL_VECTORS`` of them, evenly spread over the set.
    """

    moments: Moments
    vectors: Tensor


class _Summary:
    def __init__(self, extractor: Extractor, signals: SignalSet) -> None:
        self.extractor = extractor.to(signals.device).eval()
        self.stride = -(-len(signals) // KERNEL_VECTORS)
        self.moments = Moments()
        self.kept: list[Tensor] = []

    def update(self, x: Tensor) -> None:
        features = self.extractor(x).cpu()
        self.kept.append(features[-self.moments.count % self.stride :: self.stride])
        self.moments.update(features)

    def result(self) -> FeatureSummary:
        return FeatureSummary(self.moments, torch.cat(self.kept))


class FeatureDistance(Measure):
    """Fréchet distance of features and, where there are too few signals for it, their kernel distance.

    Args:
        extractor: of the features, one vector a signal.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.statistics = (self.summary,)

    def summary(self, signals: SignalSet) -> _Summary:
        """Of a set's features, to be found by `SignalSet.statistic`."""
        return _Summary(self.extractor, signals)

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``frechet_<features>``; ``kernel_<features>`` too if a covariance is rank deficient, with a warning."""
        theirs, ours, name = real.statistic(self.summary), generated.statistic(self.summary), self.extractor.name
        text = (
            f"Fréchet distance between Gaussians fitted to features: {self.extractor.definition}; {len(generated):,} "
            f"generated, {len(real):,} real."
        )
        distance = Metric(f"frechet_{name}", frechet_distance(theirs.moments, ours.moments), text, better="lower")
        dimensions = len(theirs.moments.mean)
        if min(len(real), len(generated)) > dimensions:
            return Verdict([distance])
        text = (
            "Squared maximum mean discrepancy (the unbiased cubic kernel of KID) of features: "
            f"{self.extractor.definition}; {len(ours.vectors)} generated, {len(theirs.vectors)} real."
        )
        kernel = Metric(f"kernel_{name}", kernel_distance(theirs.vectors, ours.vectors), text, better="lower")
        warning = (
            f"{len(generated):,} generated and {len(real):,} real signals are too few for a Fréchet distance of "
            f"{dimensions} features, which is then biased upwards: use kernel_{name}, or more samples."
        )
        return Verdict([distance, kernel], [warning])


def ranged_distances(extractor: Extractor, real: Tensor, generated: Tensor, seed: int = 0) -> list[Ranged]:
    """Fréchet and kernel distance of features with intervals, and what they are between two halves of the real set.

    Intervals are of random halves of both sets, whose distances scatter about their mean as those of whole sets do
    about the truth (half-sampling; Politis and Romano 1994).

    Args:
        extractor: of the features.
        real, generated: ``[N, D]`` and ``[M, D]``; of more than 2,000 the first ones.
        seed: of the halves.
    """
    real, generated = (each[:KERNEL_VECTORS].double() for each in (real, generated))
    counts = f"{extractor.definition}; {len(generated):,} generated, {len(real):,} real, biased upwards by few of them"
    chosen: list[tuple[str, Callable[[Tensor, Tensor], float], str]] = [
        ("frechet", lambda a, b: frechet_distance(moments(a), moments(b)), f"Fréchet distance of features: {counts}."),
        ("kernel", kernel_distance, f"Squared maximum mean discrepancy (kernel of KID) of features: {counts}."),
    ]
    generator = torch.Generator().manual_seed(seed)
    pairs = [(*_halves(real, generator), *_halves(generated, generator)) for _ in range(HALVINGS)]
    ends, found = torch.tensor([0.025, 0.975], dtype=torch.float64), []
    for name, distance, definition in chosen:
        value = distance(real, generated)
        draws = torch.tensor([distance(ours, theirs) for ours, _, theirs, _ in pairs], dtype=torch.float64)
        null = torch.tensor([distance(first, second) for first, second, _, _ in pairs], dtype=torch.float64)
        metric = Metric(f"{name}_{extractor.name}", value, definition, better="lower")
        interval = Interval(*(value + draws.quantile(ends) - draws.mean()).tolist())
        found.append(Ranged(metric, interval, Interval(*null.quantile(ends).tolist())))
    return found


def _halves(vectors: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(vectors), generator=generator)
    return vectors[order[: len(order) // 2]], vectors[order[len(order) // 2 :]]


def gaussian_and_kernel(names: tuple[str, str], real: Tensor, generated: Tensor, definition: str, what: str) -> Verdict:
    """Fréchet and kernel distance of two sets of vectors, with a warning where the first has too few of them.

    Args:
        names: of the two metrics.
        real: ``[N, D]``.
        generated: ``[M, D]``.
        definition: a noun phrase that says what the vectors are.
        what: they are called in counts.
    """
    fewest, dimensions = min(len(real), len(generated)), real.shape[1]
    counts = f"{len(generated):,} generated, {len(real):,} real {what}"
    metrics = [
        Metric(
            names[0],
            frechet_distance(moments(real), moments(generated)),
            f"Fréchet distance (float64, by eigenvalues) between Gaussians fitted to {definition}; {counts}; "
            "comparable at equal counts only.",
            better="lower",
        ),
        Metric(
            names[1],
            kernel_distance_in_blocks(real, generated),
            f"Squared maximum mean discrepancy (the unbiased cubic kernel of KID, averaged over random blocks of some "
            f"1,000) of {definition}; {counts}.",
            better="lower",
        ),
    ]
    if fewest > dimensions:
        return Verdict(metrics)
    warning = (
        f"{counts} are too few for {names[0]} over {dimensions:,} dimensions, which is then biased upwards: read "
        f"{names[1]}, or generate more samples."
    )
    return Verdict(metrics, [warning])
