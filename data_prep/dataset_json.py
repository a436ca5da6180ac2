"""Labels as EDM's data sets keep them: ``dataset.json`` at the root of a folder or zip, beside its pictures."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.samples import Rejected, Sample
from mmspec.errors import InputError

NAME = "dataset.json"
MOST_CLASSES = 1_000_000


@dataclass(frozen=True)
class DatasetLabels:
    """What ``dataset.json`` says.

    Attributes:
        of_file: path -> number of its class; None where the data set has no classes.
    """

    of_file: Mapping[str, int] | None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Their numbers from 0, also of those without a picture, so that a network's classes stay in their places."""
        return tuple(map(str, range(max(self.of_file.values()) + 1))) if self.of_file else None

    def __call__(self, outcomes: Iterator[tuple[str, Sample | Rejected]]) -> Iterator[tuple[str, Sample | Rejected]]:
        """Give every sample its label, and leave out ``dataset.json`` itself."""
        for name, outcome in outcomes:
            if name == NAME:
                continue
            if isinstance(outcome, Sample) and self.of_file:
                label = self.of_file.get(name)
                named = label is not None
                outcome = replace(outcome, label=str(label)) if named else Rejected("no label", f"not in {NAME}")
            yield name, outcome


def read_labels(source: Path) -> DatasetLabels | None:
    """The labels of a folder or zip; None where it holds no ``dataset.json``.

    Raises:
        InputError: if the file is not as EDM's dataset tool writes it: JSON with ``"labels": null`` or
            ``"labels": [["00000/img00000000.png", 3], ...]``.
    """
    content = _content(source)
    if content is None:
        return None
    try:
        labels = json.loads(content)["labels"]
        of_file = None if labels is None else dict(labels)
    except (ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        expected = '{"labels": [[path, class], ...]}'
        raise InputError(f"{source}/{NAME} is not as EDM writes it: expected {expected}.") from error
    for path, label in (of_file or {}).items():
        if not _is_class(label):
            shown = str(label)[:40]
            raise InputError(f"{source}/{NAME} gives {path} the label {shown}: expected the number of a class.")
    return DatasetLabels(of_file)


def _content(source: Path) -> bytes | None:
    if source.is_dir():
        file = source / NAME
        return file.read_bytes() if file.is_file() else None
    if not zipfile.is_zipfile(source):
        return None
    with zipfile.ZipFile(source) as archive:
        return archive.read(NAME) if NAME in archive.namelist() else None


def _is_class(label: Any) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label < MOST_CLASSES
