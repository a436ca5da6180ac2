"""Which checkpoints of a run are whole, and what becomes of the others; nothing of what is in them is read.

Who opens a checkpoint asks `newest_whole` or `require_whole`, which compare its files with what was written.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from mmspec.errors import InputError
from mmspec.files import free_name, replace_text
from mmspec.training.integrity import MARKER, damage, is_complete

UNFINISHED, REMOVED = ".writing-", ".removing-"  # how names begin of what a process was busy with when it was killed


def complete_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a run's ``checkpoints`` folder that were written to their end, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step_*/{MARKER}"))


def newest_whole(folder: Path, part: str = "") -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint in a run's ``checkpoints`` folder that is as it was written.

    Args:
        folder: in which they lie.
        part: what is needed of it, such as "ema"; all, where empty.

    Returns:
        The checkpoint, None where none was ever complete; and newer ones that are damaged, with what is wrong.

    Raises:
        InputError: if all are damaged.
    """
    damaged: dict[Path, str] = {}
    for checkpoint in reversed(complete_checkpoints(folder)):
        if (wrong := damage(checkpoint, part)) is None:
            return checkpoint, damaged
        damaged[checkpoint] = wrong
    if damaged:
        found = "; ".join(f"{checkpoint.name}: {wrong}" for checkpoint, wrong in damaged.items())
        raise InputError(f"{folder} holds no whole checkpoint ({found}): restore one from a copy, or train anew.")
    return None, {}


def require_whole(checkpoint: Path, part: str = "") -> None:
    """Raise InputError unless a checkpoint, or a part of it as for `newest_whole`, is as it was written."""
    if not is_complete(checkpoint):
        raise InputError(f"{checkpoint} is not a complete checkpoint: give a folder that holds the file {MARKER}.")
    if (wrong := damage(checkpoint, part)) is not None:
        raise InputError(f"{checkpoint} is damaged ({wrong}): restore it from a copy, or give another checkpoint.")


def set_aside(damaged: Iterable[Path]) -> None:
    """Move checkpoints to where no count of them goes wrong: ``damaged-step_XXXXXXXX`` beside the others."""
    for checkpoint in damaged:
        os.replace(checkpoint, free_name(checkpoint.with_name(f"damaged-{checkpoint.name}")))


def prune_checkpoints(folder: Path, keep_last: int, keep_every: int | None) -> None:
    """Remove all but the newest ``keep_last`` checkpoints and those at multiples of ``keep_every`` steps.

    And have ``latest`` name the newest, if a kill came between the two.
    """
    complete = complete_checkpoints(folder)
    if complete and not _is_latest(complete[-1]):
        replace_text(folder / "latest", complete[-1].name + "\n")
    for path in complete[:-keep_last]:
        step = int(path.name.removeprefix("step_"))
        if not keep_every or step % keep_every:
            remove_checkpoint(path)


def _is_latest(checkpoint: Path) -> bool:
    named = checkpoint.with_name("latest")
    return named.is_file() and named.read_bytes() == f"{checkpoint.name}\n".encode()


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint, which is whole or gone at every moment."""
    beside = checkpoint.with_name(f"{REMOVED}{checkpoint.name}")
    shutil.rmtree(beside, ignore_errors=True)
    os.replace(checkpoint, beside)
    shutil.rmtree(beside)
