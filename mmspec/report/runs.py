"""What a run's folder holds, read once for the page; a part that is missing is None, with the command that makes it."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from mmspec.data import StoredDataset, open_dataset
from mmspec.documents import RESTORE, parse_json, read_json
from mmspec.errors import InputError
from mmspec.training.run import OfType, Run, flatten


class Counted(TypedDict):
    """How many signals of a set were evaluated, and the SHA-256 of a packed one."""

    count: int
    sha256: NotRequired[str]


class Located(Counted):
    """Where they are, too."""

    path: str


class SpectrumFile(TypedDict):
    """Mean power spectra."""

    unit: str
    frequency: list[float]
    real: list[float]
    generated: list[float]


class RealFile(Located):
    """Real signals that were compared with the reference."""

    metrics: dict[str, float]


class JudgedFile(TypedDict):
    """Metrics, and what they are."""

    metrics: dict[str, float]
    units: NotRequired[dict[str, str]]
    better: NotRequired[dict[str, Literal["lower", "higher"] | None]]
    definitions: NotRequired[dict[str, str]]


class MetricsFile(JudgedFile):
    """What a table reads of evaluation.json."""

    samples: NotRequired[Counted]


class EvaluationFile(JudgedFile):
    """What a page reads of evaluation.json."""

    samples: Counted
    reference: Located
    spectrum: SpectrumFile
    command: NotRequired[str]
    warnings: NotRequired[list[str]]
    real_vs_real: NotRequired[RealFile]


class SampleFile(TypedDict, total=False):
    """What is read of sample.json."""

    command: str
    sampler: OfType
    steps: int | None
    guidance: float | None
    recordings: str | None
    files: list[str] | None


@dataclass(frozen=True)
class ReportedRun:
    """A run as the page shows it.

    Attributes:
        folder: of the run, or of a packed set of samples that is part of none.
        name: what the page calls it.
        config: its configuration, flat, without provenance; empty without a run.
        provenance: command, versions, machine, git commit; may lack any.
        history: the lines of metrics.jsonl.
        evaluation: evaluation.json, unless it is of other samples than lie here now.
        samples: the final samples.
        sampling: sample.json of the final samples.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    history: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    samples: StoredDataset | None
    sampling: dict[str, Any]

    @property
    def reference(self) -> str | None:
        """The packed folder of real data to show: the one of the evaluation, else held-out, else training data."""
        if self.evaluation:
            return str(self.evaluation["reference"]["path"])
        return self.config.get("data.test") or self.config.get("data.train")

    @property
    def commands(self) -> dict[str, str]:
        """What was run, by verb."""
        commands = {
            "train": self.provenance.get("command"),
            "sample": self.sampling.get("command"),
            "evaluate": self.evaluation and self.evaluation.get("command"),
        }
        return {verb: command for verb, command in commands.items() if command}

    @property
    def missing(self) -> dict[str, str]:
        """What the page cannot show of this run, and the command that makes it."""
        missing = {}
        if self.samples is None:
            missing["samples"] = shlex.join(["mmspec", "sample", f"from={self.folder}"])
        if self.evaluation is None:
            outdated = Run(self.folder).evaluation.is_file()
            missing["evaluation of its present samples" if outdated else "evaluation"] = shlex.join(
                ["mmspec", "evaluate", f"samples={self.folder}"]
            )
        return missing


def read_runs(folders: list[Path], names: Sequence[str] = ()) -> list[ReportedRun]:
    """Read runs, or packed sets of samples.

    Args:
        folders: of each.
        names: what the page calls them; empty for the shortest ends of their paths that tell them apart.

    Raises:
        InputError: if a folder is neither, or a file of it cannot be read.
    """
    names = names or shortest_names(folders)
    return [_read(folder, name) for folder, name in zip(folders, names, strict=True)]


def _read(folder: Path, name: str) -> ReportedRun:
    is_packed = (folder / "meta.json").is_file()
    run = Run(folder)
    config = {} if is_packed else dict(run.config)
    provenance = config.pop("provenance", None) or {}
    final = folder if is_packed else run.samples
    samples = open_dataset(final) if (final / "meta.json").is_file() else None
    return ReportedRun(
        folder=folder,
        name=name,
        config=flatten(config),
        provenance=provenance,
        history=_history(folder / "metrics.jsonl"),
        evaluation=_evaluation(run.evaluation, samples),
        samples=samples,
        sampling=_sampling(final / "sample.json"),
    )


def shortest_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart."""
    paths = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _evaluation(file: Path, samples: StoredDataset | None) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    content = read_json(file, EvaluationFile)
    spectrum = content["spectrum"]
    if len({len(spectrum[name]) for name in ("frequency", "real", "generated")}) > 1:
        raise InputError(f"{file}: spectrum: frequency, real and generated differ in length: {RESTORE}.")
    for name in ("samples", "reference"):
        if (count := content[name]["count"]) < 1:
            raise InputError(f"{file}: {name}: count must be 1 or more, not {count}: {RESTORE}.")
    return None if samples is not None and is_of_others(content, samples.meta.sha256) else content


def is_of_others(evaluation: dict[str, Any], sha256: str) -> bool:
    """Whether an evaluation.json says that it is of other samples than those of a checksum; older ones say nothing."""
    return (evaluation.get("samples", {}).get("sha256") or sha256) != sha256


def _sampling(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    content = read_json(file, SampleFile)
    steps, guidance = content.get("steps"), content.get("guidance")
    if steps is not None and steps < 1:
        raise InputError(f"{file}: steps must be 1 or more, not {steps}: {RESTORE}.")
    if guidance is not None and not math.isfinite(guidance):
        raise InputError(f"{file}: guidance must be a finite number, not {guidance}: {RESTORE}.")
    return content


def _history(file: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, but those that are none: a run in progress may be writing one."""
    entries = []
    for line in file.read_bytes().splitlines() if file.is_file() else []:
        try:
            entry = parse_json(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries
