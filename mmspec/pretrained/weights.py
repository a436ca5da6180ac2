"""Files of torch.save and safetensors, read without executing anything in them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmspec.errors import InputError
from mmspec.networks.weights import read_safetensors
from mmspec.pretrained.torch_archive import read_content, read_state_dict
from mmspec.strangers import clipped


def read_torch_file(path: str | Path) -> Any:
    """What torch.save wrote, by its names: tensors and plain values, on the CPU, and names and states of other objects.

    Raises:
        InputError: as `mmspec.pretrained.torch_archive.read_content`.
    """
    return read_content(Path(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors, or in what torch.save wrote, where other things may lie beside it; names
    as of `plain_names`.

    Raises:
        InputError: as `read_torch_file`.
    """
    if path.suffix != ".safetensors":
        return plain_names(read_state_dict(path), str(path))
    if not path.is_file():
        raise InputError(f"{path} is no file: give the path of a checkpoint.")
    return plain_names(read_safetensors(path), str(path))


def plain_names(weights: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """A state dict without what torch's wrappers put into its names: ``module.`` (parallel training, averages) and
    ``_orig_mod.`` (torch.compile); the count of averages goes too.

    Raises:
        InputError: if a weight is there under two names.
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        short = re.sub(r"(^|\.)module\.", r"\1", name.replace("_orig_mod.", "")).replace("_orig_mod", "")
        if short in plain:
            raise InputError(
                f"{where} holds {clipped(short)} twice, as its own and as a wrapper's ({clipped(name)}): leave one of "
                "them away."
            )
        plain[short] = tensor
    if len(plain) > 1 and any(name.startswith("module.") for name in weights):
        plain.pop("n_averaged", None)
    return plain


def is_state_dict(content: Any) -> bool:
    """Whether something read from a file maps names to tensors."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items())
    )
