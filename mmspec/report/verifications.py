"""What verifications have found, as ``mmspec verify`` left it, for the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.report.runs import shortest_names


class VerificationFile(TypedDict):
    """What is read of verification.json."""

    sentences: list[str]


def read_verifications(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Name of each folder -> its findings, a sentence each.

    Raises:
        InputError: if a folder holds none.
    """
    names = shortest_names(folders) if folders else []
    return {name: _sentences(folder) for name, folder in zip(names, folders, strict=True)}


def _sentences(folder: Path) -> list[str]:
    file = folder / "verification.json"
    if not file.is_file():
        raise InputError(f"verifications: {folder} holds no verification.json: give a folder of `mmspec verify`.")
    content: Any = read_json(file, VerificationFile)
    return list(content["sentences"])
