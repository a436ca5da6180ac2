"""Archives of torch.save with more in them than tensors, such as Lightning's checkpoints; nothing in them is executed.

``torch.load(weights_only=True)`` refuses a file for every class that it names, needed or not. Here what such files keep
beside their weights stays an inert name, and only the tensors that are asked for are read.
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.inert_pickle import Global, Refused, read

DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.BoolStorage": torch.bool,
    "torch.ByteStorage": torch.uint8,
}
TYPES = ("dict", "list", "str", "int", "float", "bool")  # which omegaconf's containers name
INERT = ("pytorch_lightning.", "lightning.", "omegaconf.", "typing.", "numpy.", "_codecs.")  # named, never called


class Storage(NamedTuple):
    """A run of numbers in an archive, by the name of its entry."""

    key: str
    dtype: torch.dtype
    numbers: int


class Window(NamedTuple):
    """A tensor that is still in the archive."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors under "state_dict" of what torch.save wrote, or of a file that holds nothing else.

    Raises:
        InputError: if the file is truncated or something else, or asks for what tensors have no need of.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (entry for entry in archive.namelist() if entry.endswith("/data.pkl"))
            content = read(io.BytesIO(archive.read(name)), GLOBALS, _storage, INERT)
            if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
                content = content["state_dict"]
            windows = {key: value for key, value in content.items() if type(value) is Window}
            return _tensors(archive, name.removesuffix("data.pkl"), windows)
    except Refused as error:
        raise InputError(
            f"{path} asks for {error}, of which no checkpoint of tensors has need: it was not loaded and nothing in it "
            "was run; get the file from where its authors published it."
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path} is no file: give the path of a checkpoint.") from None
    except Exception as error:
        raise InputError(
            f"{path} is truncated, or no checkpoint of torch.save ({type(error).__name__}): fetch or copy it again."
        ) from None


def _tensors(archive: zipfile.ZipFile, folder: str, windows: Mapping[str, Window]) -> dict[str, Tensor]:
    """Windows as tensors; those on one storage share it."""
    storages: dict[str, Tensor] = {}
    tensors = {}
    for name, (storage, offset, size, stride) in windows.items():
        if storage.key not in storages:
            data = archive.read(f"{folder}data/{storage.key}")
            if len(data) != storage.numbers * storage.dtype.itemsize:
                raise ValueError(f"{len(data)} bytes for {storage.numbers} numbers of {storage.dtype}")
            whole = torch.frombuffer(bytearray(data), dtype=storage.dtype) if data else torch.empty(0)
            storages[storage.key] = whole
        tensors[name] = torch.as_strided(storages[storage.key], size, stride, offset)
    return tensors


def _storage(identity: Any) -> Storage:
    kind, storage_type, key, _device, count = identity
    if kind != "storage" or type(storage_type) is not Global or storage_type.name not in DTYPES:
        raise Refused(f"the storage {storage_type}")
    return Storage(str(key), DTYPES[storage_type.name], int(count))


def _window(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Window:
    return Window(storage, offset, size, stride)


def _parameter(window: Window, *_: Any) -> Window:
    return window


def _dict(*pairs: Any) -> dict[Any, Any]:
    return dict(pairs[0]) if pairs and isinstance(pairs[0], list) else {}


def _uncalled(*_: Any) -> None:
    raise Refused("a call of a type")


GLOBALS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _dict,
    "torch._utils._rebuild_tensor_v2": _window,
    "torch._utils._rebuild_parameter": _parameter,
    **dict.fromkeys(DTYPES, _uncalled),
    **{f"{module}.{name}": _uncalled for module in ("builtins", "__builtin__") for name in TYPES},
}
