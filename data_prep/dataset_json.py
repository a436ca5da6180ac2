"""Labels as EDM's data sets keep them: ``dataset.json`` beside the folders of its pictures."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from data_prep.decoding import Decoder
from data_prep.samples import DatasetLabels, Decoded
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
        if PurePosixPath(name).name != NAME:
            return self.decoder(name, content)
        return read_labels(name, content, self.source)


def read_labels(name: str, content: bytes, source: str) -> DatasetLabels:
    r"""The labels of the files in and below the folder of ``dataset.json``, wherever in the source that is.

    Args:
        name: path of the file within the source.
        content: JSON with ``"labels": null`` or ``"labels": [["00000/img00000000.png", 3], ...]``; Windows' ``\``
            separates folders as ``/`` does, as in EDM's own reader.
        source: for messages.

    Raises:
        InputError: if it is anything else.
    """
    try:
        labels = json.loads(content)["labels"]
        listed = None if labels is None else {str(path): label for path, label in dict(labels).items()}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        expected = '{"labels": [[path, class], ...]}'
        raise InputError(f"{source}/{name} is not as EDM writes it: expected {expected}.") from error
    for path, label in (listed or {}).items():
        if not _is_class(label):
            shown = str(label)[:40]
            raise InputError(f"{source}/{name} gives {path} the label {shown}: expected the number of a class.")
    if listed is None:
        return DatasetLabels(None)
    folder = PurePosixPath(name).parent
    return DatasetLabels({str(folder / path.replace("\\", "/")): label for path, label in listed.items()})


def _is_class(label: Any) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label < MOST_CLASSES
