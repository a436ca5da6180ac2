"""A small JSON for each thing that was measured, written when it is whole, and left alone from then on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.files import replace_text


def pictures(folder: Path, count: int) -> Tensor:
    """The first so many of a packed set, in [-1, 1], ``[count, C, H, W]``.

    Raises:
        InputError: if it holds fewer.
    """
    dataset = PackedDataset(folder)
    if len(dataset) < count:
        raise InputError(
            f"{folder} holds {len(dataset)} pictures, {count} are to be measured: give fewer, or more data."
        )
    return dataset.batch(np.arange(count))[0]


def listed(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """A reader of options such as ``0,1,2``."""

    def values(text: str) -> list[Any]:
        return [kind(part) for part in text.split(",")]

    return values


def is_done(file: Path, settings: dict[str, Any]) -> bool:
    """Whether a result is there.

    Raises:
        InputError: if it was made with other settings.
    """
    if not file.is_file():
        return False
    found = read_json(file).get("settings")
    if found != settings:
        other = [key for key in settings if (found or {}).get(key) != settings[key]]
        raise InputError(f"{file} was made with another {', '.join(other)}: give another --results FOLDER.")
    return True


def write(file: Path, settings: dict[str, Any], found: dict[str, Any]) -> None:
    """Write a result, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_text(file, json.dumps({"settings": settings, **found}) + "\n")
