"""From the configuration of ``mmspec compare`` to the spectral report card of two sets."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from mmspec.analysis.report_card_figures import card_figures
from mmspec.data import DatasetMeta, StoredDataset
from mmspec.data.meta import FILE as META
from mmspec.data.recordings import Recordings
from mmspec.drawing.figure_page import write_figure_page
from mmspec.drawing.pages import check_page
from mmspec.drawing.tables import TextTable
from mmspec.errors import InputError
from mmspec.experiment.machine import check_seed
from mmspec.experiment.signal_files import remarks, signals_at
from mmspec.metrics.feature_distance import ranged_distances
from mmspec.metrics.features import extractor
from mmspec.metrics.mean_spectra import Ranged
from mmspec.metrics.octaves import described
from mmspec.metrics.report_card import Cut, OctaveComparison, ReportCard, report_card, verdict
from mmspec.metrics.signals import SignalSet
from mmspec.provenance import provenance
from mmspec.training.run import Run

AT_ONCE = 1 << 22  # values of a batch: memory, not results


@dataclass(frozen=True)
class CompareOptions:
    """The keys of conf/compare.yaml, where each is described.

    Raises:
        ValueError: if a number is out of range.
    """

    real: Path
    generated: Path
    size: int | None
    rate: int | None
    num: Literal["all"] | int
    format: Literal["text", "json"]
    out: Path | None
    seed: int

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for key, value in (("size", self.size), ("rate", self.rate), ("num", self.num)):
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{key} must be 1 or more, not {value}.")
        if self.size is not None and self.rate is not None:
            raise ValueError("size is of pictures and rate of recordings: give one of them.")
        if self.out is not None and self.out.suffix != ".html":
            raise ValueError(f"out must end with .html, not {self.out.name!r}.")


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        options: what was compared, and how.
        card: by octave.
        distances: of features.
        warnings: what was done to files as they were read.
    """

    options: CompareOptions
    card: ReportCard
    distances: list[Ranged]
    warnings: list[str]

    @property
    def verdict(self) -> str:
        """In a sentence."""
        return verdict(self.card)

    def write(self) -> dict[str, Any]:
        """The object that ``format=json`` prints."""
        real, generated = self.card.counts
        return {
            "verdict": self.verdict,
            "differs": self.card.differs,
            "octaves": [octave_as_json(octave) for octave in self.card.octaves],
            "channels": {cut.name: _cut(cut) for cut in self.card.channels},
            "orientations": {cut.name: _cut(cut) for cut in self.card.orientations},
            "metrics": {each.metric.name: _metric(each) for each in (*self.card.metrics, *self.distances)},
            "counts": {"real": real, "generated": generated},
            "warnings": self.warnings,
            "command": provenance()["command"],
        }


def compare_sets(options: CompareOptions) -> Comparison:
    """Read two sets and compare them, and write the page where one is asked for.

    Raises:
        InputError: if a path holds no signals, a file is damaged, the sets hold different things or too few, or the
            page would replace a file that is none.
    """
    if options.out is not None:
        check_page(options.out)
    with ExitStack() as stack:
        paths = [run.drawn() if (run := Run.at(path)) else path for path in (options.real, options.generated)]
        channels = next((DatasetMeta.read(path).shape[0] for path in paths if (path / META).is_file()), 3)
        real, generated = (
            stack.enter_context(signals_at(path, channels, sound=True, size=options.size, rate=options.rate))
            for path in paths
        )
        _must_match(options, real, generated)
        theirs, ours = (_chosen(dataset, options.num).statistic(described) for dataset in (real, generated))
        card = report_card(theirs, ours, options.seed)
        features = extractor("auto", real.meta.shape[0], real.meta.sample_rate)
        seen = [_chosen(dataset, options.num, whole=True).features(features) for dataset in (real, generated)]
        distances = ranged_distances(features, seen[0], seen[1], options.seed)
        warnings = [*remarks(real, options.real), *remarks(generated, options.generated)]
    comparison = Comparison(options, card, distances, warnings)
    if options.out is not None:
        _write_page(options.out, comparison)
    return comparison


def _chosen(dataset: StoredDataset, num: Literal["all"] | int, whole: bool = False) -> SignalSet:
    """So many signals; where they are ``whole``, each recording as long as it is."""
    count = len(dataset) if num == "all" else min(num, len(dataset))
    rows = torch.linspace(0, len(dataset) - 1, count).round().long()
    source = Recordings(dataset) if whole and dataset.lengths is not None else dataset
    size = int(torch.tensor(dataset.meta.shape).prod())
    return SignalSet(source, rows, batch_size=max(1, min(64, AT_ONCE // size)))


def _must_match(options: CompareOptions, real: StoredDataset, generated: StoredDataset) -> None:
    ours, theirs = generated.meta, real.meta
    sound = theirs.sample_rate is not None
    if ours.modality != theirs.modality:
        raise InputError(
            f"{options.generated} holds {ours.modality} and {options.real} {theirs.modality}: compare sets of one kind."
        )
    if sound and ours.sample_rate != theirs.sample_rate:
        raise InputError(
            f"{options.generated} has {ours.sample_rate} Hz and {options.real} {theirs.sample_rate} Hz: give rate=HZ, "
            "to which both are brought."
        )
    if ours.shape[0] != theirs.shape[0]:
        raise InputError(
            f"{options.generated} has {ours.shape[0]} channels and {options.real} {theirs.shape[0]}: bring both to one "
            "number."
        )
    if not sound and ours.shape != theirs.shape:
        sides = [" x ".join(map(str, meta.shape[1:])) for meta in (ours, theirs)]
        raise InputError(
            f"{options.generated} has pictures of {sides[0]} pixels and {options.real} of {sides[1]}: give "
            "size=PIXELS, to which both are brought."
        )


def octave_as_json(octave: OctaveComparison) -> dict[str, Any]:
    """An octave's fields, intervals as pairs."""
    fields = asdict(octave)
    pairs = {key: list(value.values()) for key, value in fields.items() if isinstance(value, dict)}
    return {**fields, **pairs}


def _cut(cut: Cut) -> dict[str, Any]:
    return {"bias_db": cut.bias_db, "intervals": [[each.low, each.high] for each in cut.intervals]}


def _metric(each: Ranged) -> dict[str, Any]:
    return {
        "value": each.metric.value,
        "interval": [each.interval.low, each.interval.high],
        "null_interval": [each.null_interval.low, each.null_interval.high],
        "unit": each.metric.unit,
        "better": each.metric.better,
        "definition": each.metric.definition,
    }


def rows(comparison: Comparison) -> tuple[TextTable, TextTable]:
    """Octaves and metrics, as they are read."""
    octaves = [
        [
            f"{o.low:g} to {o.high:g}",
            f"{o.bias_db:+.2f}",
            f"{o.interval.low:+.2f} to {o.interval.high:+.2f}",
            f"{o.null_interval.low:+.2f} to {o.null_interval.high:+.2f}",
            f"{o.auc:.2f}",
            f"{o.auc_p:.3f}",
            f"{o.kurtosis[0]:.1f}, {o.kurtosis[1]:.1f}",
            f"{o.coherence[0]:.2f}, {o.coherence[1]:.2f}",
            " and ".join(
                what for what, is_so in (("energy", o.bias_differs), ("structure", o.structure_differs)) if is_so
            ),
        ]
        for o in comparison.card.octaves
    ]
    headings = ["bias (dB)", "95%", "of real halves", "AUC", "p", "kurtosis", "coherence", "differs in"]
    metrics = [
        [
            each.metric.name,
            f"{each.metric.value:.4g} {each.metric.unit}".strip(),
            f"{each.interval.low:.4g} to {each.interval.high:.4g}",
            f"{each.null_interval.low:.4g} to {each.null_interval.high:.4g}",
        ]
        for each in (*comparison.card.metrics, *comparison.distances)
    ]
    unit = comparison.card.octaves[0].unit
    return (
        TextTable("By octave", [unit, *headings], octaves),
        TextTable("Of whole spectra and features", ["metric", "generated", "95%", "of real halves"], metrics),
    )


def _write_page(out: Path, comparison: Comparison) -> None:
    real, generated = comparison.card.counts
    kept = (
        "Kurtosis and coherence of wavelet coefficients are medians of real and generated signals; noise has 3 and 0."
    )
    write_figure_page(
        out,
        f"{comparison.options.generated.name} against {comparison.options.real.name}",
        f"{comparison.verdict} ({generated:,} generated, {real:,} real signals.)",
        card_figures(comparison.card),
        rows(comparison),
        [kept, *comparison.warnings],
    )
