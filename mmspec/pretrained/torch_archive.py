"""Files of torch.save with more in them than tensors, such as Lightning's checkpoints; nothing in them is executed.

``torch.load(weights_only=True)`` refuses a file for every class that it names, needed or not. Here what such files keep
beside their weights stays an inert name, and only the tensors that are asked for are read.
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.inert_pickle import Made, Refused, read
from mmspec.pretrained.other_files import refuse_others
from mmspec.pretrained.torch_legacy import read_legacy
from mmspec.pretrained.torch_pickle import GLOBALS, Storage, Window, described, filled, numbers

ALONE = "save the state dict alone, with torch.save(model.state_dict(), FILE)"


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors under "state_dict" of what torch.save wrote, or of a file that holds nothing else.

    Raises:
        InputError: if the file is truncated or something else, asks for what tensors have no need of, or holds a whole
            module, a list or a tensor alone.
    """
    try:
        found: dict[str, Tensor] = read_content(path, _state_dict)
    except Refused as error:
        raise InputError(
            f"{path} asks for {error}, of which no checkpoint of tensors has need: it was not loaded and nothing in it "
            f"was run; {ALONE}."
        ) from None
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} is truncated, or no checkpoint of torch.save ({type(error).__name__}): fetch or copy it again."
        ) from None
    return found


def read_content(path: Path, wanted: Callable[[Any], Any] = lambda content: content) -> Any:
    """What torch.save wrote, in either of its formats: tensors and plain values; other objects as names and states.

    Args:
        path: the file.
        wanted: function of the content, with windows for tensors, that says what of it to read.

    Raises:
        InputError: for a pointer of Git LFS, a file of another kind, or what holds no weights by their names.
        Refused: for what weights have no need of.
        Exception: of any kind, for a damaged file or another.
    """
    refuse_others(path)
    with path.open("rb") as stream:
        if stream.read(1) == b"\x80":  # how pickles of today begin
            stream.seek(0)
            content, load = read_legacy(stream, GLOBALS, inert=True)
            return filled(wanted(_mapping(content, path)), load)
    with zipfile.ZipFile(path) as archive:
        (name,) = (entry for entry in archive.namelist() if entry.endswith("/data.pkl"))
        content = read(io.BytesIO(archive.read(name)), GLOBALS, described, inert=True)
        storages: dict[Storage, Tensor] = {}

        def load_entry(storage: Storage) -> Tensor:
            if storage not in storages:
                data = archive.read(f"{name.removesuffix('data.pkl')}data/{storage.key}")
                storages[storage] = numbers(data, storage)
            return storages[storage]

        return filled(wanted(_mapping(content, path)), load_entry)


def _state_dict(content: Any) -> dict[str, Window]:
    if isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    return {key: value for key, value in content.items() if type(value) is Window}


def _mapping(content: Any, path: Path) -> Mapping[Any, Any]:
    """Content that may hold weights."""
    if type(content) is Made:
        raise InputError(f"{path} holds a whole object of {content.kind}, not its weights: {ALONE}.")
    if not isinstance(content, Mapping):
        shown = "a tensor alone" if type(content) is Window else f"a {type(content).__name__}"
        raise InputError(f"{path} holds {shown}, no weights by their names: {ALONE}.")
    return content
