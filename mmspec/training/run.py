"""The folder of a run: its config, and whether the same command goes on with it."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mmspec.errors import InputError
from mmspec.provenance import provenance
from mmspec.training.checkpoint import is_complete, latest_checkpoint

# What may change between two starts of one run: it decides how long and how watched it is, not what is learnt.
FREE = (
    "resume",
    "trainer.max_steps",
    "trainer.device",
    "trainer.tensorboard",
    "trainer.log_every",
    "network.dims",  # the data decide it, whether a preset states it or not
)
FREE_PREFIXES = ("trainer.sample_", "trainer.checkpoint_", "trainer.keep_", "preview.")


def open_run(folder: Path, config: Mapping[str, Any], resume: str = "auto") -> Path | None:
    """Make or reopen a run's folder.

    Args:
        folder: of the run.
        config: the resolved configuration.
        resume: "auto" goes on from the newest complete checkpoint; "none" moves an earlier run aside and starts anew;
            anything else is the path of the checkpoint to go on from.

    Returns:
        The checkpoint to resume from, or None.

    Raises:
        InputError: if the folder holds a run with another config, or ``resume`` is no checkpoint.
    """
    if resume not in ("auto", "none") and not is_complete(Path(resume)):
        raise InputError(f"resume={resume} is not a complete checkpoint: expected auto, none, or a step_... folder.")
    file = folder / "config.yaml"
    if resume == "none" and file.exists():
        _move_aside(folder)
    if file.exists():
        _refuse_other_config(file, config)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / ".config.yaml"
        beside.write_text(yaml.safe_dump({**config, "provenance": provenance()}, sort_keys=False))
        os.replace(beside, file)
    return latest_checkpoint(folder / "checkpoints") if resume in ("auto", "none") else Path(resume)


def read_config(folder: Path) -> dict[str, Any]:
    """The config of a run.

    Raises:
        InputError: if the folder is not one of a run.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        raise InputError(f"{folder} is not the folder of a run: expected the config.yaml that `mmspec train` writes.")
    return yaml.safe_load(file.read_text())


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _refuse_other_config(file: Path, config: Mapping[str, Any]) -> None:
    earlier = yaml.safe_load(file.read_text())
    earlier.pop("provenance", None)
    before, now = flatten(earlier), flatten(config)
    changed = [
        f"{key} was {before.get(key, 'absent')}, is {now.get(key, 'absent')}"
        for key in {**before, **now}
        if before.get(key) != now.get(key) and key not in FREE and not key.startswith(FREE_PREFIXES)
    ]
    if changed:
        raise InputError(
            f"{file.parent} holds a run with another config ({'; '.join(changed)}): choose another run_dir, undo the "
            "change, or give resume=none to move that run aside."
        )


def _move_aside(folder: Path) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    shutil.move(folder, aside)
