"""Captions: the text file beside each picture or recording, ``cat.txt`` of ``cat.png``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from data_prep.decoding import Decoder
from data_prep.samples import Caption, Decoded, Rejected, Sample

SUFFIX = ".txt"


@dataclass(frozen=True)
class CaptionDecoder:
    """Text files -> captions, all others by another decoder.

    Attributes:
        decoder: of pictures or sound.
    """

    decoder: Decoder

    def __call__(self, name: str, content: bytes) -> Decoded:
        """Decode one file.

        Raises:
            Rejected: if it is a text without words or not in UTF-8, or the other decoder does.
        """
        if PurePosixPath(name).suffix.lower() != SUFFIX:
            return self.decoder(name, content)
        try:
            words = content.decode("utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise Rejected("not a text", str(error)) from None
        if not words:
            raise Rejected("empty caption")
        return Caption(" ".join(words))


@dataclass
class Captions:
    """Captions as they come among other files, in any order.

    Attributes:
        of_file: path without suffix -> caption.
    """

    of_file: dict[str, str] = field(default_factory=dict)

    def taken_from(
        self, outcomes: Iterator[tuple[str, Sample | Caption | Rejected]]
    ) -> Iterator[tuple[str, Sample | Rejected]]:
        """What is no caption."""
        for name, outcome in outcomes:
            if isinstance(outcome, Caption):
                self.of_file[stem(name)] = outcome.text
            else:
                yield name, outcome

    def of(self, name: str) -> str | None:
        """The caption of a file; once all files were seen."""
        return self.of_file.get(stem(name))


def stem(name: str) -> str:
    """What a file has in common with its caption: the path without suffix."""
    return str(PurePosixPath(name).with_suffix(""))
