"""Files and folders that are whole or absent: written beside their place, then renamed into it."""

import errno
import fcntl
import hashlib
import itertools
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmspec.errors import InputError

LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # how the file begins that stands for a large one


@contextmanager
def staged(folder: Path, work: str | None = None) -> Iterator[Path]:
    """Write a folder so that a reader finds all of it or nothing.

    Yields a folder on the same disk. When the block ends well, that folder takes the place of ``folder`` in one rename;
    when it raises, what was there before stays and nothing else is left. After ``kill -9`` a hidden ``.writing-<name>``
    stays beside, which the next writer of ``folder`` clears. A link is followed.

    Args:
        folder: that is written.
        work: a text that says all of what is made, for work that can go on where it was cut off: the hidden folder
            then stays after all but an InputError, and is yielded again for the same text. Without it, or for another
            text, the folder that is yielded is empty.

    Raises:
        InputError: if another process is writing the same folder, or a disk is mounted on it.
    """
    folder = folder.resolve()
    if folder.is_mount():
        raise InputError(
            f"{folder} is where a disk is mounted, and cannot be replaced as a whole: give a folder in it."
        )
    workspace = folder.with_name(f".writing-{folder.name}")
    workspace.mkdir(parents=True, exist_ok=True)
    with exclusive(workspace / "lock", f"{folder} is being written", "wait for it, or give another folder"):
        beside, earlier, begun = workspace / "new", workspace / "old", workspace / "work"
        done = False
        try:
            _put_back(earlier, folder)
            if work is None or not begun.is_file() or begun.read_text() != work:
                begun.unlink(missing_ok=True)
                shutil.rmtree(beside, ignore_errors=True)
                beside.mkdir()
                if work is not None:
                    replace_text(begun, work)
            yield beside
            if folder.exists():
                os.replace(folder, earlier)
            os.replace(beside, folder)
            done = True
        except InputError:
            done = True
            raise
        finally:
            _put_back(earlier, folder)
            if done or work is None:
                shutil.rmtree(workspace, ignore_errors=True)


def _put_back(earlier: Path, folder: Path) -> None:
    """What had made room for a folder that then did not come."""
    if earlier.exists() and not folder.exists():
        os.replace(earlier, folder)


@contextmanager
def exclusive(file: Path, doing: str, mend: str) -> Iterator[None]:
    """Hold a lock, which goes with the process that holds it, however that ends.

    Args:
        file: that is locked; it is made, with its folder, and stays.
        doing: what another process does that holds it, as "FOLDER is being written".
        mend: what to do then.

    Raises:
        InputError: if another process holds it. Where the file system has no locks, nobody is refused.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = f" ({lock.read().strip()})"
            raise InputError(f"{doing} by another process{holder.replace(' ()', '')}: {mend}.") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        lock.truncate(0)
        lock.write(f"{os.getpid()} on {platform.node()}")
        lock.flush()
        yield


def free_name(path: Path) -> Path:
    """The path, or where something is there already, the first of ``path-2``, ``path-3``, ... that is free."""
    names = itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def replace_text(path: Path, text: str) -> None:
    """Write a text file, whose folder is made; a reader finds what was there before or all that is new."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """As `replace_text`, of another file."""
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, whose folder is made; it takes that place when the block ends well, and is gone
    when it does not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def append(path: Path, text: str) -> None:
    """Add a text at the end of a file: all of it, or on an OSError nothing."""
    with path.open("ab", buffering=0) as file:
        end, content = file.tell(), memoryview(text.encode())
        try:
            while content:
                content = content[file.write(content) :]
        except OSError:
            file.truncate(end)
            raise


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(path: Path) -> str:
    """Of a file's content, or of all files in a folder with their names, wherever it lies."""
    if path.is_file():
        return sha256(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    lines = (f"{name}\0{sha256(path / name)}\n" for name in names)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


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


def is_missing(source: str | Path) -> bool:
    """Whether a source is neither a place on this machine nor a name of the hub."""
    is_name = len(Path(source).parts) == 2 and not str(source).startswith((".", "/"))
    return not str(source) or not (Path(source).exists() or is_name)
