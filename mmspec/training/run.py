"""The folder of a run: what lies where in it, and whether the same command goes on with it."""

import json
import os
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import yaml
from rich.console import Console

from mmspec import plugins
from mmspec.documents import mended, read_yaml
from mmspec.errors import InputError
from mmspec.files import exclusive, is_missing, replace_text
from mmspec.provenance import Provenance, provenance
from mmspec.training.complete import REMOVED, UNFINISHED, newest_whole, require_whole, set_aside
from mmspec.training.integrity import AVERAGED, is_complete
from mmspec.typed import held

# Of a field that may change between two starts of a run: how long and how watched it is, not what is learnt.
FREE = {"free": True}
LOCK, CHECKSUM = ".lock", "_sha256"
LITTER = (
    ".config.yaml.[0-9]*",
    ".metrics.jsonl.[0-9]*",
    "samples/.step_*.png.[0-9]*",
    "checkpoints/.latest.[0-9]*",
    f"checkpoints/{UNFINISHED}*",
    f"checkpoints/{REMOVED}*",
)

DENOISER = "give a run, a checkpoint or a saved denoiser"
MEND = "restore it, or train anew in another folder"


class DataPaths(TypedDict, total=False):
    """The data of a run, as its config.yaml names them."""

    train: str | None
    test: str | None
    crop: int | None


class OfType(TypedDict):
    """What has a class."""

    type: str


class EarlierProcess(TypedDict):
    """A process of before it was one object."""

    preconditioning: OfType
    noise: OfType
    weighting: OfType


class EarlierFile(TypedDict):
    """A config.yaml with such a process."""

    process: EarlierProcess
    objective: dict[str, object]


class RunFile(TypedDict, total=False):
    """What is read of config.yaml besides what a training reads."""

    data: DataPaths
    plugins: dict[str, str]
    provenance: Provenance


class Run:
    """A folder that ``mmspec train`` writes.

    Args:
        folder: of the run, which need not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config_file = self.folder / "config.yaml"
        self.checkpoints = self.folder / "checkpoints"
        self.samples = self.folder / "samples" / "final"
        self.evaluation = self.folder / "evaluation.json"

    @classmethod
    def at(cls, path: str | Path | None) -> "Run | None":
        """The run at a path, if there is one."""
        run = cls(path) if path is not None else None
        return run if run is not None and run.config_file.is_file() else None

    @classmethod
    def around(cls, path: Path) -> "Run | None":
        """The run at a path, or the one in which it lies as ``samples/NAME``."""
        return next((run for folder in (path, *path.resolve().parents[:2]) if (run := cls.at(folder))), None)

    def drawn(self) -> Path:
        """The folder of its final samples.

        Raises:
            InputError: if it has none yet.
        """
        if not self.samples.is_dir():
            command = shlex.join(["mmspec", "sample", f"from={self.folder}"])
            raise InputError(f"{self.folder} has no final samples yet: run `{command}` first.")
        return self.samples

    @cached_property
    def config(self) -> dict[str, Any]:
        """What it was trained by, as resolved, with ``provenance``.

        Raises:
            InputError: if the folder is not one of a run.
        """
        if not self.config_file.is_file():
            found = "is not the folder of a run" if self.folder.exists() else "is not there"
            raise InputError(f"{self.folder} {found}: expected the config.yaml that `mmspec train` writes.")
        return read_yaml(self.config_file, RunFile, MEND)

    def data(self, name: str) -> Any:
        """A key of the group ``data``, such as "test"; None where the run has none."""
        return (self.config.get("data") or {}).get(name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other trainings out, until the block or the process ends, however it ends; tidy up after killed ones.

        One process of a launch holds the run for all. The lock is the system's, on the file ``.lock`` in the folder: it
        keeps out the processes of one machine, and those of others where the file system locks across machines, as
        NFS 4 and most cluster file systems do.

        Raises:
            InputError: if another process is training in the folder.
        """
        mend = "wait for it, end it, or choose another run_dir"
        with exclusive(self.folder / LOCK, f"{self.folder} is being trained", mend):
            self._tidy()
            yield

    def _tidy(self) -> None:
        """Remove what a training that was killed was about to write or remove; nobody else's files are called so."""
        for path in [found for pattern in LITTER for found in self.folder.glob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def open(self, config: Mapping[str, Any], free: Collection[str], resume: str = "auto") -> Path | None:
        """Make the folder, or go on with it.

        Args:
            config: the resolved configuration.
            free: keys, joined by dots, that may differ from those of an earlier start.
            resume: "auto" goes on from the newest whole checkpoint, and sets damaged ones aside; "none" moves an
                earlier run aside and starts anew; anything else is the path of the checkpoint to go on from.

        Returns:
            The checkpoint to resume from, or None.

        A path whose SHA-256 is recorded beside it, ``init_from`` by ``init_from_sha256``, may be spelt otherwise.

        Raises:
            InputError: if the folder holds a run with another config or other files or damaged checkpoints alone, or
                ``resume`` is no checkpoint.
        """
        if resume not in ("auto", "none") and not is_complete(Path(resume)):
            raise InputError(
                f"resume={resume} is not a complete checkpoint: expected auto, none, or a step_... folder."
            )
        if resume == "none" and self.config_file.exists():
            self._move_aside()
        if self.config_file.exists():
            self._refuse_other(config, free)
        else:
            self._refuse_content()
            # Through JSON, whose copies YAML does not abbreviate by references.
            record = json.loads(json.dumps({**config, "provenance": provenance()}))
            replace_text(self.config_file, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))
        if resume not in ("auto", "none"):
            return Path(resume)
        checkpoint, damaged = newest_whole(self.checkpoints)
        set_aside(damaged)
        tell_passed_over(damaged, checkpoint, "set aside")
        return checkpoint

    def _refuse_other(self, config: Mapping[str, Any], free: Collection[str]) -> None:
        before, now = flatten(renewed(self.config, self.config_file)), flatten(config)
        needed = {key.removeprefix("plugins."): value for key, value in before.items() if key.startswith("plugins.")}
        refuse_other_plugins(needed, config.get("plugins") or {}, str(self.folder))
        changed = [
            f"{key} was {before.get(key, 'absent')}, is {now.get(key, 'absent')}"
            for key in {**before, **now}
            if (before.get(key) or None) != (now.get(key) or None)
            and key not in free
            and not key.startswith(("plugins", "provenance."))
            and not _is_known_by_content(key, before, now)
        ]
        if changed:
            raise InputError(
                f"{self.folder} holds a run with another config ({'; '.join(changed)}): choose another run_dir, undo "
                "the change, or give resume=none to move that run aside."
            )

    def _refuse_content(self) -> None:
        """A new run begins in a folder of its own: not among remains of another, nor in somebody's data."""
        names = (path.name for path in self.folder.glob("*"))
        held = sorted(name for name in names if not name.startswith("."))
        if held:
            raise InputError(
                f"{self.folder} holds {held[0]} and no config.yaml, so it is no run that can go on: restore the "
                "config.yaml, move the folder away, or choose another run_dir."
            )

    def _move_aside(self) -> None:
        if self.folder.is_mount():
            raise InputError(
                f"{self.folder} is where a disk is mounted, and cannot be moved aside: choose a folder in it."
            )
        number = 1
        while (aside := self.folder.with_name(f"{self.folder.name}.old-{number}")).exists():
            number += 1
        os.replace(self.folder, aside)
        self.folder.mkdir()
        if (aside / LOCK).exists():  # whoever holds it holds the new folder
            os.replace(aside / LOCK, self.folder / LOCK)
        self.__dict__.pop("config", None)


def _is_known_by_content(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a path is one whose checksum is compared, or a checksum one that earlier versions did not keep."""
    if key.endswith(CHECKSUM):
        return key not in before
    return bool(before.get(key + CHECKSUM) and now.get(key + CHECKSUM))


def find_denoiser(source: str | Path) -> Path | str:
    """Where the denoiser is that a user means: a run's newest averaged weights, a checkpoint's, or ``source`` itself.

    Raises:
        InputError: if ``source`` is a run without a whole checkpoint, or a checkpoint that is damaged.
    """
    path = Path(source)
    checkpoint = path.parent if path.name == AVERAGED else path
    if is_complete(checkpoint):
        require_whole(checkpoint, AVERAGED)
    if (path / AVERAGED / "config.json").is_file():
        return path / AVERAGED
    if (run := Run.at(source)) is None:
        return source
    newest, damaged = newest_whole(run.checkpoints, AVERAGED)
    if newest is None:
        raise InputError(f"{source} has no complete checkpoint yet: run `mmspec train` until it has saved one.")
    tell_passed_over(damaged, newest, "passed over")
    return newest / AVERAGED


def tell_passed_over(damaged: Mapping[Path, str], instead: Path | None, done: str) -> None:
    """Say in a line on stderr what each damaged checkpoint lacks, and which is taken."""
    for checkpoint, wrong in damaged.items():
        said = f"{checkpoint} is damaged ({wrong}) and {done}: {instead} is taken instead."
        Console(stderr=True).print(said, soft_wrap=True, markup=False, highlight=False)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def refuse_other_plugins(needed: Mapping[str, str], given: Mapping[str, str], where: str) -> None:
    """Raise InputError unless all plug-ins that were needed, by name and SHA-256, are given as they were."""
    for name, sha256 in needed.items():
        if name not in given:
            raise InputError(
                f"{where} was trained with the plug-in {name} (SHA-256 {sha256[:12]}): give plugins=[PATH/{name}]."
            )
        if given[name] != sha256:
            raise InputError(
                f"{where} was trained with another {name} (SHA-256 {sha256[:12]}, now {given[name][:12]}): give the "
                "file as it was then, or train in another folder."
            )


def refuse_missing_plugins(folder: str | Path) -> None:
    """Raise InputError if a folder is that of a run with plug-ins that are not loaded as they were; it says which."""
    if (run := Run.at(folder)) is not None:
        refuse_other_plugins(run.config.get("plugins") or {}, plugins.loaded(), str(folder))


OWN_WEIGHT = {"EDM": "EDMWeight", "Flow": "VelocityWeight"}  # of other processes, NoisePredictionWeight


def renewed(config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """A configuration of before processes were one object, in today's keys."""
    process = config.get("process")
    if not isinstance(process, Mapping) or "preconditioning" not in process:
        return dict(config)
    with mended(MEND):
        held(config, EarlierFile, str(file))
    kind, noise, weighting = process["preconditioning"]["type"], process["noise"], process["weighting"]
    log_normal = noise["type"] == "LogNormal"
    own = {key: noise.get(key) for key in ("mean", "std")} if log_normal and kind == "EDM" else {}
    natural = OWN_WEIGHT.get(kind, "NoisePredictionWeight")
    return {
        **config,
        "process": {**process["preconditioning"], **own, "noise": noise if log_normal and not own else None},
        "objective": {**config["objective"], "weighting": None if weighting["type"] == natural else weighting},
    }


def refuse_missing(source: str) -> None:
    """Raise InputError if what ``from=`` names is neither here nor a name of the hub."""
    if is_missing(source):
        raise InputError(f"from={source} is not there: {DENOISER}.")


def run_at(source: str, otherwise: str) -> Run:
    """The run that ``from=`` names.

    Raises:
        InputError: if it names none; ``otherwise`` says what to give then.
    """
    if (run := Run.at(source)) is None:
        refuse_missing(source)
        found = "is not a run:" if Path(source).exists() else "is not here: correct it, or, if the hub has it,"
        raise InputError(f"from={source} {found} {otherwise}.")
    return run
