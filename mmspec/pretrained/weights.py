"""Files of torch.save and safetensors, read without executing anything in them."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

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


def is_state_dict(content: Any) -> bool:
    """Whether something read from a file maps names to tensors."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items())
    )
