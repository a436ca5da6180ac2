"""What a hostile file is: who reads it, how it is made, and the sentence that is expected."""

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
        said: what the sentence that refuses it says; "read" where it is read, and harmless.
    """

    name: str
    reader: str
    make: Callable[[Path], object]
    said: str


def content(data: bytes) -> Callable[[Path], object]:
    """Writes a file of these bytes."""
    return lambda path: path.write_bytes(data)
