"""The networks in EDM's pickles, as tensors and constructor arguments; nothing in the file is executed.

EDM pickles objects as the source text of their module, which its own reader runs, beside their class name and state.
Here the source is left unread: class name and state say all there is to know. A snapshot of training holds other
objects too, such as the loss, of whatever classes it was made: they stay names and states.
"""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained import numpy_pickle, torch_pickle
from mmspec.pretrained.inert_pickle import Made, Refused, read, text
from mmspec.pretrained.torch_legacy import read_legacy
from mmspec.strangers import TooMuch, mapped


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
        InputError: if the file is truncated or something else, or asks for what no snapshot has need of.
    """
    try:
        with mapped(path) as content:
            root = read(content, GLOBALS, inert=True)
        network = _network(root, path)
        return SavedNetwork(
            network.kind,
            {text(key): value for key, value in network["_init_kwargs"].items()},
            dict(_tensors(network, "", set())),
        )
    except InputError:
        raise
    except Refused as error:
        raise InputError(
            f"{path} asks for {error}, of which no EDM network has need: it was not loaded and nothing in it was run; "
            "leave it out of the snapshot, which needs its averaged network (ema) alone."
        ) from None
    except TooMuch as error:
        raise InputError(f"{path} holds {error}, which no EDM network of its size has: it was not loaded.") from None
    except Exception as error:
        raise InputError(
            f"{path} is truncated, or not a pickle of an EDM network ({type(error).__name__}: {error}): download it "
            "again, or give the .pkl of a network."
        ) from None


def _network(root: Any, path: Path) -> Made:
    network = root.get("ema") if isinstance(root, dict) else None
    if type(network) is not Made or "_init_kwargs" not in network:
        kind = root.kind if type(root) is Made else type(root).__name__
        names = [key for key in root if isinstance(key, str)] if isinstance(root, dict) else []
        found = f"{kind} with {', '.join(names)}"[:200] if names else kind
        raise InputError(
            f"{path} is a pickle of {found}, and holds no averaged network (ema) as EDM's training pickles it: give "
            "the .pkl of a network."
        )
    return network


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
    if text(meta["type"]) != "class":
        raise Refused(f"a persistent object of type {meta['type']!r}")
    state = meta["state"]
    return Made(text(meta["class_name"]), state if isinstance(state, dict) else {"state": state})


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    if math.prod(size) > storage.numel():
        raise ValueError(f"a tensor of shape {list(size)} in a storage of {storage.numel()}")
    return torch.as_strided(storage, size, stride, offset)


def _storage(data: bytes) -> Tensor:
    """The one storage in a stream of torch.save's old format, as a flat tensor."""
    storage, load = read_legacy(io.BytesIO(data), STORAGES)
    if type(storage) is not torch_pickle.Storage:
        raise ValueError("a stream without a storage")
    return load(storage)


def _numpy_dtype(name: Any, *_: Any) -> Made:
    if text(name).startswith("O"):  # of any Python objects
        raise Refused(f"numpy.dtype {name!r}")
    return numpy_pickle.dtype(name)


def _container() -> Made:
    return Made("container")


STORAGES = dict.fromkeys(torch_pickle.STORAGES, torch_pickle.uncalled)
GLOBALS: dict[str, Callable[..., Any]] = {
    **torch_pickle.GLOBALS,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    "torch.nn.modules.container.ModuleDict": _container,
    "torch.nn.modules.container.ModuleList": _container,
    "torch.nn.modules.container.Sequential": _container,
    "numpy.dtype": _numpy_dtype,
}
