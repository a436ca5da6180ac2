"""Labels as EDM's data sets keep them: ``dataset.json`` beside the folders of its pictures."""

import json
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from data_prep.decoding import Decoder
from data_prep.samples import DatasetLabels, Decoded
from mmspec.documents import parse_json
from mmspec.errors import InputError

NAME = "dataset.json"
MOST_CLASSES = 1_000_000


@dataclass(frozen=True)
class DatasetJsonDecoder:
    """Every ``dataset.json`` -> its labels, all other files by another decoder.

    Attributes:
        decoder: of pictures, and of captions where there are any.
        source: name of what the files come from, for messages.
    """

    decoder: Decoder
    source: str

    def __call__(self, name: str, content: bytes) -> Decoded:
        """Decode one file.

        Raises:
            Rejected: if the other decoder does.
            InputError: if a ``dataset.json`` is not as EDM's dataset tool writes it.
        """
        return read_labels(name, content, self.source) if is_named(name) else self.decoder(name, content)


def is_named(name: str) -> bool:
    """Whether a file is called ``dataset.json``, in letters of any case, as on systems that tell none apart."""
    return PurePosixPath(name).name.lower() == NAME


def spelled(path: str) -> str:
    r"""A path as it is compared: Windows' ``\`` separates folders, and accents are written one way, Unicode's NFC."""
    return unicodedata.normalize("NFC", str(PurePosixPath(path.replace("\\", "/"))))


def read_labels(name: str, content: bytes, source: str) -> DatasetLabels:
    """The labels of the files in and below the folder of ``dataset.json``, wherever in the source that is.

    Args:
        name: path of the file within the source.
        content: JSON with ``"labels": null`` or ``"labels": [["00000/img00000000.png", 3], ...]``, or an object in
            place of that list.
        source: for messages.

    Raises:
        InputError: if it is anything else, or gives a file two labels.
    """
    place = f"{source}/{name}"
    try:
        labels = parse_json(content.decode(json.detect_encoding(content)).encode())["labels"]
        pairs = None if labels is None else list(labels.items() if isinstance(labels, dict) else map(_pair, labels))
    except (ValueError, TypeError, KeyError) as error:
        found = f" ({error})" if isinstance(error, ValueError) else ""
        expected = '{"labels": [[path, class], ...]}'
        raise InputError(f"{place} is not as EDM writes it{found}: expected {expected}.") from error
    return DatasetLabels(None if pairs is None else _of_files(pairs, PurePosixPath(name).parent, place))


def _pair(entry: Any) -> tuple[str, Any]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
        raise TypeError(entry)
    return entry[0], entry[1]


def _of_files(pairs: list[tuple[str, Any]], folder: PurePosixPath, place: str) -> dict[str, int]:
    listed: dict[str, int] = {}
    for path, label in pairs:
        if not _is_class(label):
            shown = json.dumps(label)[:40]
            raise InputError(f"{place} gives {path} the label {shown}: expected the number of a class.")
        if listed.setdefault(spelled(str(folder / path)), label) != label:
            raise InputError(
                f"{place} gives {path} the labels {listed[spelled(str(folder / path))]} and {label}: keep one."
            )
    return listed


def _is_class(label: Any) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label < MOST_CLASSES
