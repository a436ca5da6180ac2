"""Files of torch.save with more in them than tensors, such as Lightning's checkpoints; nothing in them is executed.

``torch.load(weights_only=True)`` refuses a file for every class that it names, needed or not. Here what such files keep
beside their weights stays an inert name, and only the tensors that are asked for are read.
"""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.inert_pickle import Made, Refused, read
from mmspec.pretrained.other_files import refuse_others
from mmspec.pretrained.torch_legacy import read_legacy
from mmspec.pretrained.torch_pickle import GLOBALS, Load, Storage, Window, described, filled, numbers
from mmspec.strangers import Allowance, TooMuch, mapped, member, most_unpacked

ALONE = "save the state dict alone, with torch.save(model.state_dict(), FILE)"


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors under "state_dict" of what torch.save wrote, or of a file that holds nothing else.

    Raises:
        InputError: as `read_content`.
    """
    found: dict[str, Tensor] = read_content(path, _state_dict)
    return found


def read_content(path: Path, wanted: Callable[[Any], Any] = lambda content: content) -> Any:
    """What torch.save wrote, in either of its formats: tensors and plain values; other objects as names and states.

    Args:
        path: the file.
        wanted: function of the content, with windows for tensors, that says what of it to read.

    Raises:
        InputError: if there is no such file, it is of another kind or not whole, asks for what weights have no need
            of, holds no weights by their names, or more than a file of its size can.
    """
    try:
        refuse_others(path)
        room = Allowance(most_unpacked(path.stat().st_size), "bytes of tensors")
        with _opened(path) as (content, load):
            return filled(wanted(_mapping(content, path)), load, room)
    except InputError:
        raise
    except Refused as error:
        raise InputError(
            f"{path} asks for {error}, of which weights have no need: it was not loaded and nothing in it was run; "
            f"{ALONE}."
        ) from None
    except TooMuch as error:
        raise InputError(f"{path} holds {error}, which no checkpoint of its size has: it was not loaded.") from None
    except Exception as error:
        raise InputError(
            f"{path} is no whole file of torch.save ({type(error).__name__}): fetch or copy it again."
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Load]]:
    """The content of a file, with windows for tensors, and what gives the numbers of its storages."""
    with mapped(path) as stream:
        if stream[:1] == b"\x80":  # how pickles of today begin
            yield read_legacy(stream, GLOBALS, inert=True)
            return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        Allowance(most_unpacked(path.stat().st_size), "bytes once it is unpacked").take(unpacked)
        (name,) = (entry for entry in archive.namelist() if entry.endswith("/data.pkl"))
        content = read(io.BytesIO(member(archive, name)), GLOBALS, described, inert=True)
        storages: dict[Storage, Tensor] = {}

        def load(storage: Storage) -> Tensor:
            if storage not in storages:
                data = member(archive, f"{name.removesuffix('data.pkl')}data/{storage.key}")
                storages[storage] = numbers(data, storage)
            return storages[storage]

        yield content, load


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
