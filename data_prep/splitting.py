"""Which files are held out, decided by each file's name alone: adding files never moves one to the other side."""

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatchcase

WHOLE, TRAIN, TEST = ".", "train", "test"


@dataclass(frozen=True)
class Split:
    """Into training and held-out data.

    Attributes:
        fraction: held out, in (0, 1): the files whose hash of folder and file name falls below it; None for none.
        pattern: held out: files whose name, or path (which then starts with ``/``), matches this shell pattern.
    """

    fraction: float | None = None
    pattern: str | None = None

    @property
    def sides(self) -> tuple[str, ...]:
        """Folders below the output."""
        return (WHOLE,) if self.fraction is None and self.pattern is None else (TRAIN, TEST)

    def __call__(self, name: str) -> str:
        """The folder that a file belongs into."""
        base = name.rsplit("/", 1)[-1]
        if self.pattern is not None:
            return TEST if any(fnmatchcase(text, self.pattern) for text in (base, f"/{name}")) else TRAIN
        if self.fraction is None:
            return WHOLE
        digest = hashlib.sha256("/".join(name.rsplit("/", 2)[-2:]).encode()).digest()
        return TEST if int.from_bytes(digest[:8], "big") < self.fraction * 2**64 else TRAIN


def first_folder(name: str) -> str:
    """The side of samples that are made for one, and named after it."""
    return name.split("/", 1)[0]
