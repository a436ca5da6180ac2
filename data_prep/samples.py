"""What decoding one file gives: a sample, what is said of others, or the reason why there is none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

UNSUPPORTED = re.compile(
    "unsupported|not supported|not available|cannot find loader|unrecogni[sz]ed|unknown|unimplemented|internal error"
    "|no decoder found|too many channels",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as it is stored.

    Attributes:
        data: uint8 ``[H, W, C]`` or int16 ``[T, C]``.
        label: class name, or None.
        length: valid samples before the padding (sound), or None.
        converted: what was done to it that is worth counting.
        caption: what it shows, or None.
    """

    data: np.ndarray
    label: str | None = None
    length: int | None = None
    converted: tuple[str, ...] = ()
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class EncodedSample(Sample):
    """One sample as a file for a tar shard; ``data`` holds nothing.

    Attributes:
        content: of the file.
        shape: of the data that it stands for, ``[H, W, C]`` or ``[T, C]``, with the padding that is not stored.
        total: sum of its values in [-1, 1].
        squares: sum of their squares.
    """

    content: bytes = b""
    shape: tuple[int, ...] = ()
    total: float = 0.0
    squares: float = 0.0


@dataclass(frozen=True)
class Caption:
    """The text of a file that describes another.

    Attributes:
        text: on one line.
    """

    text: str


@dataclass(frozen=True)
class DatasetLabels:
    """What one ``dataset.json`` says.

    Attributes:
        of_file: path within the source -> number of its class; None where the data set has no classes.
    """

    of_file: Mapping[str, int] | None


Decoded = Sample | Caption | DatasetLabels


class Rejected(Exception):
    """A file that cannot be used.

    Attributes:
        reason: by which rejected files are counted.
        detail: what exactly was found, for ``rejected.tsv``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = " ".join(detail.split())

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def undecodable(kind: str, said: str) -> Rejected:
    """Why a decoder gave up, by what it said: the file is damaged, or of a sort that the decoder does not know.

    Args:
        kind: "picture" or "recording".
        said: by the decoder.
    """
    return Rejected(f"{'unsupported' if UNSUPPORTED.search(said) else 'truncated or damaged'} {kind}", said)
