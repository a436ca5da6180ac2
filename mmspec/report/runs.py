"""What a run's folder holds, read once for the page; a part that is missing is None, with the command that makes it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.training.run import Run, flatten


@dataclass(frozen=True)
class ReportedRun:
    """A run as the page shows it.

    Attributes:
        folder: of the run, or of a packed set of samples that is part of none.
        name: what the page calls it.
        config: its configuration, flat, without provenance; empty without a run.
        provenance: command, versions, machine, git commit; may lack any.
        history: the lines of metrics.jsonl.
        evaluation: evaluation.json.
        samples: the final samples.
        sampling: sample.json of the final samples.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    history: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    samples: PackedDataset | None
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
            missing["samples"] = f"mmspec sample from={self.folder}"
        if self.evaluation is None:
            missing["evaluation"] = f"mmspec evaluate samples={self.folder}"
        return missing


def read_runs(folders: list[Path]) -> list[ReportedRun]:
    """Read runs, or packed sets of samples, with the shortest names that tell them apart.

    Raises:
        InputError: if a folder is neither, or a file of it cannot be read.
    """
    names = _names(folders)
    return [_read(folder, name) for folder, name in zip(folders, names, strict=True)]


def _read(folder: Path, name: str) -> ReportedRun:
    is_packed = (folder / "meta.json").is_file()
    run = Run(folder)
    config = {} if is_packed else dict(run.config)
    provenance = config.pop("provenance", None) or {}
    final = folder if is_packed else run.samples
    return ReportedRun(
        folder=folder,
        name=name,
        config=flatten(config),
        provenance=provenance,
        history=_history(folder / "metrics.jsonl"),
        evaluation=read_results(run.evaluation),
        samples=PackedDataset(final) if (final / "meta.json").is_file() else None,
        sampling=read_results(final / "sample.json") or {},
    )


def _names(folders: list[Path]) -> list[str]:
    paths = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def read_results(file: Path) -> dict[str, Any] | None:
    """What a command wrote into a run; None where it has not.

    Raises:
        InputError: if it is damaged.
    """
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{file} is no JSON ({error}): delete it and run the command that writes it again.") from error
    return content


def _history(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    lines = []
    for line in file.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # a run in progress may be writing this line
    return lines
