"""Files and folders that are whole or absent: written beside their place, then renamed into it."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmspec.errors import InputError

LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # how the file begins that stands for a large one


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


def replace_text(path: Path, text: str) -> None:
    """Write a text file, whose folder is made; a reader finds what was there before or all that is new."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """As `replace_text`, of another file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content)
    os.replace(beside, path)


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(folder: Path) -> None:
    """Wait until a folder and all that is in it are on the disk."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def refuse_lfs_pointer(path: Path) -> None:
    """Raise InputError if a file is a pointer of Git LFS, which a clone without it has in place of large files."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise InputError(f"{path} is a pointer of Git LFS, not the file itself: run git lfs pull beside it.")
