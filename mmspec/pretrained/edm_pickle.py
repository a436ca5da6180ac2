"""The networks in EDM's pickles, as tensors and constructor arguments; nothing in the file is executed.

EDM pickles objects as the source text of their module, which its own reader runs, beside their class name and state.
Here the source is left unread: class name and state say all there is to know.
"""

import io
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.inert_pickle import Global, Made, Refused, read

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before it wrote zip files, as EDM's storages still are
STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.LongStorage": torch.int64,
}
SCALARS = {"f8": "d", "f4": "f", "i8": "q"}  # NumPy's name of a type -> struct's


class SavedNetwork(NamedTuple):
    """What EDM saved of a network.

    Attributes:
        class_name: of the preconditioner around it, e.g. "EDMPrecond".
        arguments: that it was constructed with.
        state_dict: parameters and buffers.
    """

    class_name: str
    arguments: dict[str, Any]
    state_dict: dict[str, Tensor]


def read_network(path: Path) -> SavedNetwork:
    """The averaged weights ("ema") of a network that EDM's training, or NVIDIA's release, left in a pickle.

    Raises:
        InputError: if the file is truncated or something else, or asks for anything but tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            root = read(file, GLOBALS)
        network = root["ema"]
        return SavedNetwork(network.kind, dict(network["_init_kwargs"]), dict(_tensors(network, "", set())))
    except Refused as error:
        raise InputError(
            f"{path} asks for {error}, of which no EDM network has need: it was not loaded and nothing in it was run; "
            "get the file from where its authors published it."
        ) from None
    except Exception as error:
        raise InputError(
            f"{path} is truncated, or not a pickle of an EDM network ({type(error).__name__}: {error}): download it "
            "again, or give the .pkl of a network."
        ) from None


def _tensors(module: Made, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Parameters, then buffers, then those of the modules inside: the names and order of torch's state dicts."""
    if id(module) in seen:
        raise ValueError(f"module {prefix or 'ema'} occurs twice")
    seen.add(id(module))
    transient = module.get("_non_persistent_buffers_set", ())
    for group in ("_parameters", "_buffers"):
        for name, tensor in module[group].items():
            if tensor is not None and not (group == "_buffers" and name in transient):
                if not isinstance(tensor, Tensor):
                    raise TypeError(f"{prefix}{name} is no tensor")
                yield prefix + name, tensor
    for name, child in module["_modules"].items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{name}.", seen)


def _persistent_object(meta: dict[str, Any]) -> Made:
    if meta["type"] != "class":
        raise Refused(f"a persistent object of type {meta['type']!r}")
    return Made(str(meta["class_name"]), meta["state"])


def _ordered_dict(*pairs: Any) -> dict[Any, Any]:
    return dict(*pairs)


def _parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    if math.prod(size) > storage.numel():
        raise ValueError(f"a tensor of shape {list(size)} in a storage of {storage.numel()}")
    return torch.as_strided(storage, size, stride, offset)


def _storage(data: bytes) -> Tensor:
    """The one storage in a stream of torch.save's old format, as a flat tensor."""
    stream = io.BytesIO(data)
    described: list[Any] = []
    if read(stream, {}) != LEGACY_MAGIC:
        raise ValueError("a storage that torch.save did not write in its old format")
    _version, _system = read(stream, {}), read(stream, {})
    read(stream, dict.fromkeys(STORAGES, _storage_type), described.append)
    _keys = read(stream, {})
    kind, storage_type, _key, _device, count, _view = described[0]
    if kind != "storage" or type(storage_type) is not Global:
        raise ValueError("a storage without its type")
    dtype = STORAGES[storage_type.name]
    (stored,) = struct.unpack("<q", stream.read(8))
    raw = stream.read()
    if stored != count or len(raw) != count * dtype.itemsize:
        raise ValueError(f"a storage of {len(raw)} bytes for {count} numbers of {dtype}")
    return torch.frombuffer(bytearray(raw), dtype=dtype) if count else torch.empty(0, dtype=dtype)


def _storage_type(*_: Any) -> None:
    raise Refused("a call of a storage type")


def _numpy_dtype(name: str, *_: Any) -> Made:
    if name not in SCALARS:
        raise Refused(f"numpy.dtype {name!r}")
    return Made(name)


def _numpy_scalar(dtype: Made, data: bytes) -> float | int:
    order = dtype["state"][1] if "state" in dtype else "<"
    value: float | int
    (value,) = struct.unpack(f"{'>' if order == '>' else '<'}{SCALARS[dtype.kind]}", data)
    return value


def _container() -> Made:
    return Made("container")


GLOBALS: dict[str, Callable[..., Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    "torch.nn.modules.container.ModuleDict": _container,
    "torch.nn.modules.container.ModuleList": _container,
    "torch.nn.modules.container.Sequential": _container,
    "numpy._core.multiarray.scalar": _numpy_scalar,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy.dtype": _numpy_dtype,
}
