"""What a hostile file is: who reads it, and how it is made. What is said of it stands in ``sentences.txt``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hostile:
    """A file, or a folder, that somebody made to do harm.

    Attributes:
        name: of the file.
        reader: a key of `tests.hostile.readers.READERS`.
        make: writes it at a path.
    """

    name: str
    reader: str
    make: Callable[[Path], object]


def content(data: bytes) -> Callable[[Path], object]:
    """Writes a file of these bytes."""
    return lambda path: path.write_bytes(data)
