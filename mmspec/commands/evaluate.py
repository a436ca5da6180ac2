"""``mmspec evaluate``: how far samples are from held-out real data, as evaluation.json and a table."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmspec.commands.judges import Panel
from mmspec.data import PackedDataset
from mmspec.data.crops import side_by_side
from mmspec.errors import InputError
from mmspec.metrics.evaluation import Metric, Summary, compare, of_stretches, summarise, too_few
from mmspec.metrics.features import Extractor, extractor
from mmspec.metrics.spectrum import default_cutoff
from mmspec.provenance import provenance
from mmspec.training.run import read_config


@dataclass(frozen=True)
class Sources:
    """What is compared, and where the result goes."""

    samples: Path
    reference: Path
    train: Path | None
    out: Path
    paired: Path | None = None
    crop: int | None = None


def run(cfg: DictConfig) -> None:
    """Evaluate samples as conf/evaluate.yaml describes.

    Raises:
        InputError: if a folder is no packed data set, sets do not fit together, or a key cannot be used.
    """
    sources = find_sources(cfg)
    evaluation = evaluate(cfg, sources)
    beside = sources.out.with_name(f".{sources.out.name}")
    sources.out.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(json.dumps(evaluation, indent=1) + "\n")
    os.replace(beside, sources.out)
    _print(evaluation, sources)


def find_sources(cfg: DictConfig) -> Sources:
    """What the keys ``samples, reference, train, out, paired, crop`` mean.

    Raises:
        InputError: if the run has no final samples, or nothing says what to compare them with.
    """
    samples = Path(cfg.samples)
    folder = _run_of(samples)
    if folder == samples:
        samples = folder / "samples" / "final"
        if not samples.is_dir():
            raise InputError(f"{folder} has no final samples yet: run `mmspec sample from={folder}` first.")
    data = read_config(folder).get("data", {}) if folder else {}
    reference = cfg.reference or data.get("test")
    if reference is None:
        where = f"{folder} has no data.test" if folder else f"{samples} belongs to no run"
        raise InputError(f"{where}: give reference=FOLDER, a packed data set of held-out real signals.")
    train = cfg.train or data.get("train")
    if not cfg.train and train and (not Path(train).is_dir() or Path(train).resolve() == Path(reference).resolve()):
        train = None  # the run was trained elsewhere, or is compared with its own data; the row "real" is a bonus
    final = folder is not None and samples.resolve() == (folder / "samples" / "final").resolve()
    out = Path(cfg.out) if cfg.out else (folder if folder and final else samples) / "evaluation.json"
    paired = _resynthesized(samples) if cfg.paired == "auto" else cfg.paired
    crop = data.get("crop") if cfg.crop == "auto" else cfg.crop
    return Sources(
        samples, Path(reference), Path(train) if train else None, out, Path(paired) if paired else None, crop
    )


def evaluate(cfg: DictConfig, sources: Sources) -> dict[str, Any]:
    """The contents of evaluation.json.

    Raises:
        InputError: as for `run`.
    """
    samples, reference = PackedDataset(sources.samples), PackedDataset(sources.reference)
    train = PackedDataset(sources.train) if sources.train else None
    for path, dataset in ((sources.reference, reference), (sources.samples, samples), (sources.train, train)):
        if dataset is not None:
            _must_match(path, dataset, sources.reference, reference, sources.crop)
    if cfg.batch_size < 1:
        raise InputError(f"batch_size must be 1 or more, not {cfg.batch_size}.")
    device = torch.device("cuda" if cfg.device == "auto" and torch.cuda.is_available() else "cpu")
    features = extractor(cfg.features, reference.meta.shape[0], reference.meta.sample_rate)
    panel = Panel(cfg, reference, samples, device, sources.crop, sources.paired)

    def summary(dataset: PackedDataset, indices: Tensor) -> Summary:
        return summarise(*side_by_side(dataset, indices, sources.crop), features, cfg.batch_size, device)

    everything = torch.arange(len(samples))
    real, generated = summary(reference, torch.arange(len(reference))), summary(samples, everything)
    cutoff = _cutoff(cfg, reference)
    verdict = panel.verdict(samples, everything)
    metrics = of_stretches(_compare(real, generated, features, cutoff), sources.crop) + verdict.metrics
    evaluation: dict[str, Any] = {
        "command": provenance()["command"],
        "samples": {"path": str(sources.samples), "count": len(samples)},
        "reference": {"path": str(sources.reference), "count": len(reference)},
        "metrics": {metric.name: metric.value for metric in metrics},
        "definitions": {metric.name: metric.definition for metric in metrics},
        "warnings": _warnings(real, generated, features) + verdict.warnings,
        "spectrum": {
            "unit": real.spectrum.unit,
            "frequency": real.spectrum.frequency.tolist(),
            "real": real.spectrum.power.tolist(),
            "generated": generated.spectrum.power.tolist(),
        },
    }
    if train is not None:
        chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(cfg.seed))[: len(samples)]
        chosen = chosen.sort().values
        metrics = _compare(real, summary(train, chosen), features, cutoff) + panel.verdict(train, chosen).metrics
        evaluation["real_vs_real"] = {
            "path": str(sources.train),
            "count": len(chosen),
            "metrics": {metric.name: metric.value for metric in metrics},
        }
    return evaluation


def _run_of(path: Path) -> Path | None:
    """The run that a path is, or that it lies in as samples/NAME."""
    candidates = [path, *path.resolve().parents[:2]]
    return next((folder for folder in candidates if (folder / "config.yaml").is_file()), None)


def _resynthesized(samples: Path) -> str | None:
    """The recordings that a vocoder made samples from."""
    file = samples / "sample.json"
    return json.loads(file.read_text()).get("recordings") if file.is_file() else None


def _must_match(
    path: Path | None, dataset: PackedDataset, reference_path: Path, reference: PackedDataset, crop: int | None
) -> None:
    for key in ("modality", "shape", "sample_rate"):
        ours, theirs = getattr(dataset.meta, key), getattr(reference.meta, key)
        if key == "shape" and crop is not None:  # stretches are of one length
            ours, theirs = ours[:1], theirs[:1]
        if ours != theirs:
            raise InputError(
                f"{path} has {key} {ours} but {reference_path} has {theirs}: compare sets that were prepared alike."
            )
    if len(dataset) < 2:
        raise InputError(f"{path} holds {len(dataset)} signal(s): at least 2 are needed, thousands are better.")


def _cutoff(cfg: DictConfig, reference: PackedDataset) -> float:
    if cfg.cutoff is not None:
        return float(cfg.cutoff)
    return default_cutoff(reference.meta.sample_rate or max(reference.meta.shape[1:]))


def _compare(real: Summary, generated: Summary, features: Extractor, cutoff: float) -> list[Metric]:
    try:
        return compare(real, generated, features, cutoff)
    except ValueError as error:
        raise InputError(f"cutoff={cutoff:g}: {error}") from error


def _warnings(real: Summary, generated: Summary, features: Extractor) -> list[str]:
    warnings = []
    if too_few(real, generated):
        warnings.append(
            f"{generated.count:,} generated and {real.count:,} real signals are too few for a Fréchet distance of "
            f"{len(real.moments.mean)} features, which is then biased upwards: use kernel_{features.name}, or more "
            f"samples."
        )
    if real.spectrum.unit == "Hz" and not real.spectrograms:
        warnings.append("The clips are too short for mr_stft_between_sets, which is left out.")
    return warnings


def _print(evaluation: dict[str, Any], sources: Sources) -> None:
    console = Console(highlight=False)
    console.print(f"{sources.samples} against {sources.reference}", soft_wrap=True, markup=False)
    table = Table()
    table.add_column("metric")
    table.add_column("generated", justify="right")
    other = evaluation.get("real_vs_real", {"metrics": {}})["metrics"]
    if other:
        table.add_column("real (train)", justify="right")
    for name, value in evaluation["metrics"].items():
        table.add_row(name, f"{value:.4g}", *([f"{other[name]:.4g}" if name in other else ""] if other else []))
    console.print(table)
    for warning in evaluation["warnings"]:
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    console.print(f"{sources.out}", soft_wrap=True, markup=False)
