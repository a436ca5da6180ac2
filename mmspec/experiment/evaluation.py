"""From the configuration of ``mmspec evaluate`` to the contents of evaluation.json."""

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from mmspec.data import DatasetMeta, StoredDataset, open_dataset
from mmspec.data.meta import FILE as META
from mmspec.devices import find_device
from mmspec.documents import read_json
from mmspec.drawing.own_files import refuse_other
from mmspec.errors import InputError
from mmspec.experiment.machine import check_seed
from mmspec.experiment.measures import MeasureOptions, chosen_measures
from mmspec.experiment.signal_files import remarks, signals_at
from mmspec.metrics.comparison import compare, sets_of
from mmspec.metrics.measure import Metric, Verdict
from mmspec.metrics.signals import SignalSet
from mmspec.metrics.spectrum import Spectrum, mean_spectrum
from mmspec.provenance import provenance
from mmspec.report.runs import SampleFile
from mmspec.training.run import Run


@dataclass(frozen=True)
class EvaluationOptions(MeasureOptions):
    """The keys of conf/evaluate.yaml, where each is described.

    Raises:
        ValueError: if a number is out of range.
    """

    samples: Path
    reference: Path | None
    train: Path | None
    out: Path | None
    crop: Literal["auto"] | int | None
    paired: Literal["auto"] | Path | None
    batch_size: int
    seed: int
    device: Literal["auto", "cpu", "cuda"]

    def __post_init__(self) -> None:
        check_seed(self.seed)
        least = {"batch_size": self.batch_size, "crop": None if self.crop == "auto" else self.crop}
        least |= {"ndb_bins": self.ndb_bins, "extractors.sample_rate": self.extractors.sample_rate}
        for key, value in least.items():
            if value is not None and value < 1:
                raise ValueError(f"{key} must be 1 or more, not {value}.")
        if self.cutoff is not None and not self.cutoff > 0:
            raise ValueError(f"cutoff must be above 0, not {self.cutoff}.")


@dataclass(frozen=True)
class Sources:
    """What is compared, and where the result goes.

    Attributes:
        samples: packed folder of generated signals, or pictures as `signals_at` takes them.
        reference: held-out real ones, likewise.
        train: packed folder of real training data, or None.
        out: the file of the result.
        paired: packed folder of the clips that the samples should be, one for one, or None.
        crop: samples of the stretches that are compared; None for signals as they are.
    """

    samples: Path
    reference: Path
    train: Path | None
    out: Path
    paired: Path | None = None
    crop: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        sources: what was compared.
        generated, real: how many signals there are of each.
        metrics: of the generated signals against the real ones.
        warnings: what to mind when reading them, and what is missing.
        failures: of measures whose metrics are missing.
        spectra: mean power spectra of the real and the generated signals.
        sha256: of the generated signals where they are packed, by which a reader sees that they are others by now.
        train: how many training signals were compared with the real ones.
        of_train: metrics of these; None where there are none.
    """

    sources: Sources
    generated: int
    real: int
    metrics: list[Metric]
    warnings: list[str]
    failures: list[str]
    spectra: tuple[Spectrum, Spectrum]
    sha256: str | None = None
    train: int = 0
    of_train: list[Metric] | None = None

    def write(self) -> dict[str, Any]:
        """The contents of evaluation.json."""
        real, generated = self.spectra
        checksum = {} if self.sha256 is None else {"sha256": self.sha256}
        content: dict[str, Any] = {
            "command": provenance()["command"],
            "samples": {"path": str(self.sources.samples), "count": self.generated, **checksum},
            "reference": {"path": str(self.sources.reference), "count": self.real},
            "metrics": {metric.name: metric.value for metric in self.metrics},
            "units": {metric.name: metric.unit for metric in self.metrics},
            "better": {metric.name: metric.better for metric in self.metrics},
            "definitions": {metric.name: metric.definition for metric in self.metrics},
            "warnings": self.warnings,
            "spectrum": {
                "unit": real.unit,
                "frequency": real.frequency.tolist(),
                "real": real.power.tolist(),
                "generated": generated.power.tolist(),
            },
        }
        if self.of_train is not None:
            metrics = {metric.name: metric.value for metric in self.of_train}
            content["real_vs_real"] = {"path": str(self.sources.train), "count": self.train, "metrics": metrics}
        return content


def find_sources(options: EvaluationOptions) -> Sources:
    """What the keys ``samples, reference, train, out, paired, crop`` mean.

    Raises:
        InputError: if the run has no final samples, nothing says what to compare them with, or the result would replace
            a file that is no evaluation.
    """
    samples = options.samples
    run = Run.around(samples)
    if run is not None and run.folder == samples:
        samples = run.drawn()
    reference = options.reference or (run.data("test") if run else None)
    if reference is None:
        where = f"{run.folder} has no data.test" if run else f"{samples} belongs to no run"
        raise InputError(f"{where}: give reference=FOLDER, a packed data set of held-out real signals.")
    out = options.out or _home(samples, run)
    refuse_other(out, _is_evaluation, "file of metrics")
    return Sources(
        samples=samples,
        reference=Path(reference),
        train=options.train or _train(run.data("train") if run else None, Path(reference)),
        out=out,
        paired=_resynthesized(samples) if options.paired == "auto" else options.paired,
        crop=(run.data("crop") if run else None) if options.crop == "auto" else options.crop,
    )


def evaluate(options: EvaluationOptions, sources: Sources) -> Evaluation:
    """Compare samples with real signals, and training data with them too where there are any.

    Raises:
        InputError: if a path is no packed data set and no set of pictures, sets do not fit together, or an option
            cannot be used.
    """
    with ExitStack() as stack:
        return _evaluated(options, sources, *_opened(sources, stack))


def begun_features(options: EvaluationOptions, sources: Sources) -> Path | None:
    """The folder that keeps the features which an evaluation found before it was cut off, where there is a cache."""
    if options.extractors.cache is None:
        return None
    return options.extractors.cache / f".begun-{hashlib.sha256(os.fsencode(sources.out.resolve())).hexdigest()[:16]}"


def _opened(sources: Sources, stack: ExitStack) -> tuple[StoredDataset, StoredDataset, StoredDataset | None]:
    """Real, generated and training signals; pictures in as many channels as what is packed has."""
    packed = (path for path in (sources.reference, sources.samples) if (path / META).is_file())
    channels = next((DatasetMeta.read(path).shape[0] for path in packed), 3)
    reference, samples = (
        stack.enter_context(signals_at(path, channels)) for path in (sources.reference, sources.samples)
    )
    train = stack.enter_context(signals_at(sources.train, channels)) if sources.train else None
    return reference, samples, train


def _evaluated(
    options: EvaluationOptions,
    sources: Sources,
    reference: StoredDataset,
    samples: StoredDataset,
    train: StoredDataset | None,
) -> Evaluation:
    for path, dataset in ((sources.reference, reference), (sources.samples, samples), (sources.train, train)):
        if dataset is not None:
            _must_match(path, dataset, sources.reference, reference, sources.crop)
    paired = _partners(open_dataset(sources.paired), samples) if sources.paired else None
    measures = chosen_measures(options, reference, paired is not None)
    device = find_device(options.device)
    cut = reference.lengths is not None and samples.lengths is not None  # or one side has its silence
    begun = begun_features(options, sources)
    sets = partial(sets_of, crop=sources.crop, cut=cut, batch_size=options.batch_size, device=device, begun=begun)

    real = sets(reference, torch.arange(len(reference)), cache=options.extractors.cache)
    generated = sets(samples, torch.arange(len(samples)))
    if paired is not None:
        real["pairs"], generated["pairs"] = paired, SignalSet(samples)
    verdict, of_train, count = compare(measures, real, generated), Verdict(), 0
    if train is not None:
        chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(options.seed))[: len(samples)]
        of_train, count = compare(measures, real, sets(train, chosen.sort().values)), len(chosen)
    failures = list(dict.fromkeys(verdict.failures + of_train.failures))
    remarked = [*remarks(reference, sources.reference), *remarks(samples, sources.samples)]
    return Evaluation(
        sources,
        generated=len(samples),
        real=len(reference),
        metrics=verdict.metrics,
        warnings=failures + verdict.warnings + remarked,
        failures=failures,
        spectra=(real["stretches"].statistic(mean_spectrum), generated["stretches"].statistic(mean_spectrum)),
        sha256=samples.meta.sha256 if (sources.samples / META).is_file() else None,
        train=count,
        of_train=None if train is None else of_train.metrics,
    )


def _train(train: str | None, reference: Path) -> Path | None:
    """The training data of a run; the row of them is a bonus, which a run that was trained elsewhere has not."""
    if train is None or not Path(train).is_dir() or Path(train).resolve() == reference.resolve():
        return None
    return Path(train)


def _home(samples: Path, run: Run | None) -> Path:
    """The file of a run's final samples, or else in the samples' own folder, or beside their file."""
    final = run is not None and samples.resolve() == run.samples.resolve()
    if run is not None and final:
        return run.evaluation
    return samples.with_name(f"{samples.name}.evaluation.json") if samples.is_file() else samples / "evaluation.json"


def _is_evaluation(file: Path) -> bool:
    try:
        return {"samples", "reference", "metrics"} <= read_json(file).keys()
    except InputError:
        return False


def _resynthesized(samples: Path) -> Path | None:
    """The recordings that a vocoder made samples from."""
    file = samples / "sample.json"
    recordings = read_json(file, SampleFile).get("recordings") if file.is_file() else None
    return Path(recordings) if recordings else None


def _must_match(
    path: Path | None, dataset: StoredDataset, reference_path: Path, reference: StoredDataset, crop: int | None
) -> None:
    for key in ("modality", "shape", "sample_rate"):
        ours, theirs = getattr(dataset.meta, key), getattr(reference.meta, key)
        if key == "shape" and crop is not None:  # stretches are of one length
            ours, theirs = ours[:1], theirs[:1]
        if ours != theirs:
            raise InputError(
                f"{path} has {key} {ours} but {reference_path} has {theirs}: compare sets that were prepared alike."
            )
    if max(dataset.meta.shape[1:]) < 2:
        raise InputError(f"{path} holds signals of one value, which have no spectrum: prepare longer ones.")
    if len(dataset) < 2:
        raise InputError(f"{path} holds {len(dataset)} signal(s): at least 2 are needed, thousands are better.")


def _partners(paired: StoredDataset, samples: StoredDataset) -> SignalSet:
    """The clips that samples should be, of which there may be more than samples."""
    if paired.meta.sample_rate is None:
        raise InputError(f"paired={paired.folder} holds pictures: expected the clips that the samples should be.")
    for key in ("count", "shape", "sample_rate"):
        theirs, ours = getattr(paired.meta, key), getattr(samples.meta, key)
        if ours > theirs if key == "count" else ours != theirs:
            raise InputError(
                f"paired={paired.folder} has {key} {theirs} but {samples.folder} has {ours}: the n-th clip of one "
                "must belong to the n-th of the other."
            )
    return SignalSet(paired, torch.arange(len(samples)))
