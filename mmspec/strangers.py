"""Budgets of what strangers wrote: known before it is read, in proportion to the file, and beyond them it is refused.

Whoever opens a file of unknown origin asks here how many bytes it may unpack to, and how many values it may hold.
"""

import stat
import struct
import zlib
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from lzma import LZMAError
from mmap import ACCESS_READ, mmap
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from mmspec.errors import InputError
from mmspec.files import refuse_lfs_pointer

FREE_BYTES, GROWTH = 256 << 20, 4  # that a file of any size may unpack to, and for each of its bytes besides
DOCUMENT_BYTES = 32 << 20  # of a text that is read as a whole, such as a configuration
INTEGERS = 2**63  # whole numbers that torch and NumPy hold lie below
SHOWN = 200  # characters of a value in a sentence
PARTS = 1000  # of a value in each other that is written, or hashed: tuples of tuples may be 2^64 with 400 bytes
UNREADABLE = (BadZipFile, RuntimeError, ValueError, EOFError, struct.error, zlib.error, LZMAError)  # of a damaged zip


class TooMuch(Exception):
    """A file holds more than its budget; the message says of what."""


class Allowance:
    """What may be taken of something, bit by bit.

    Args:
        most: so much.
        what: it is, such as "bytes".
    """

    def __init__(self, most: int, what: str) -> None:
        self.most, self.what, self._left = most, what, most

    def take(self, count: int) -> None:
        """Take some of it; TooMuch if there is less left."""
        self._left -= count
        if self._left < 0:
            raise TooMuch(f"more than {self.most:,} {self.what}")


def most_unpacked(packed: int) -> int:
    """Bytes that ``packed`` bytes of a stranger's file may become."""
    return FREE_BYTES + GROWTH * packed


def refuse_irregular(path: Path) -> None:
    """Raise InputError for what is there and no file, such as a pipe, of which reading might wait for ever, or a
    pointer of Git LFS.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        found = "a folder" if path.is_dir() else "a pipe or a device"
        raise InputError(f"{path} is {found}, where a file is expected: put the file there.")
    refuse_lfs_pointer(path)


def member(archive: ZipFile, name: str) -> bytes:
    """A file of an archive, unpacked no further than it says it is long.

    Raises:
        BadZipFile: if it is damaged.
        KeyError: if there is none.
    """
    with archive.open(name) as file:
        return file.read(archive.getinfo(name).file_size)


@contextmanager
def mapped(path: Path) -> Iterator[mmap]:
    """A file's content, which cannot be asked for more than there is: a plain file makes room for that first.

    Raises:
        ValueError: if it is empty.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        yield content


def read_document(path: Path, most: int = DOCUMENT_BYTES) -> bytes:
    """A file that is short by its nature.

    Raises:
        InputError: if it is no file, or longer than ``most`` bytes.
        OSError: if it cannot be read.
    """
    refuse_irregular(path)
    if (size := path.stat().st_size) > most:
        raise InputError(f"{path} has {size:,} bytes, of which at most {most:,} are read: give the file it should be.")
    return path.read_bytes()


def is_within(value: object, most: int = PARTS) -> bool:
    """Whether a value has at most so many parts, and each of these, however often it is there, parts of its own."""
    rest, left = [value], most - 1
    while rest:
        part = rest.pop()
        if isinstance(part, Mapping | list | tuple | Set):
            left -= len(part)
            if left < 0:
                return False
            rest += [*part, *part.values()] if isinstance(part, Mapping) else part
    return True


def shown(value: object) -> str:
    """A value as a command line writes it, or how it begins."""
    if not is_within(value):
        return f"one of more than {PARTS} parts"
    if isinstance(value, int) and abs(value) >= INTEGERS:
        return "a whole number beyond 2^63"
    return "null" if value is None else clipped(str(value).lower() if isinstance(value, bool) else repr(value))


def clipped(text: str) -> str:
    """A text, or how it begins."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
