"""Folders that are whole or absent: written beside their place, then renamed into it."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmspec.errors import InputError


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Write a folder so that a reader finds all of it or nothing.

    Yields an empty folder on the same disk. When the block ends well, that folder takes the place of ``folder`` in one
    rename; when it raises, nothing is left. After ``kill -9`` a hidden ``.writing-<name>`` stays beside, which the
    next writer of ``folder`` clears.

    Raises:
        InputError: if another process is writing the same folder.
    """
    folder = folder.absolute()
    workspace = folder.with_name(f".writing-{folder.name}")
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder} is being written by another process: wait for it, or give another folder."
            ) from None
        try:
            beside = workspace / "new"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            yield beside
            if folder.exists():
                os.replace(folder, workspace / "old")
            os.replace(beside, folder)
        finally:
            shutil.rmtree(workspace, ignore_errors=True)
