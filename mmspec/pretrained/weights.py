"""Files of torch.save, read without executing anything in them, and weights put in their place."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmspec.errors import InputError
from mmspec.pretrained.torch_archive import read_state_dict


def read_torch_file(path: str | Path) -> Any:
    """What torch.save wrote: tensors in plain containers, on the CPU.

    Raises:
        InputError: if there is no such file, it asks for anything but tensors and plain containers, or it is not
            whole.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is no file: give the path of a checkpoint.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged archive makes of torch's reader
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and wanted:
            raise InputError(
                f"{path} asks for {wanted[1]}, which a checkpoint of tensors does not need: it was not loaded, and "
                "nothing in it was executed."
            ) from None
        raise InputError(
            f"{path} is no whole file of torch.save ({type(error).__name__}): fetch or copy it again."
        ) from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors, or in what torch.save wrote, where other things may lie beside it.

    Raises:
        InputError: as `read_torch_file`.
    """
    if path.suffix != ".safetensors":
        return read_state_dict(path)
    if not path.is_file():
        raise InputError(f"{path} is no file: give the path of a checkpoint.")
    try:
        return load_file(path)
    except Exception as error:
        raise InputError(f"{path} cannot be read as safetensors ({error}): fetch or copy it again.") from None


def put_weights(network: nn.Module, weights: Mapping[str, Any], where: str) -> None:
    """Give a network, which may be on the meta device, the weights of a state dict, as float32.

    Raises:
        InputError: if a weight is missing, unknown or of another shape.
    """
    expected = network.state_dict()
    missing = [name for name in expected if name not in weights]
    unknown = [name for name in weights if name not in expected]
    other = [
        f"{name} {list(weights[name].shape)} for {list(expected[name].shape)}"
        for name in expected
        if name in weights and weights[name].shape != expected[name].shape
    ]
    if missing or unknown or other:
        raise InputError(
            f"{where} does not fit a {type(network).__name__} of {_options(network)}: {len(missing)} weights are "
            f"missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}, {len(other)} of another shape {other[:3]}."
        )
    network.load_state_dict({name: weights[name].detach().float().clone() for name in expected}, assign=True)


def is_state_dict(content: Any) -> bool:
    """Whether something read from a file maps names to tensors."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items())
    )


def _options(network: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in network.config.items())
