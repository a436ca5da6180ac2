"""Weights of tiny autoencoders (TAESD and its kin), in two files or in a folder of diffusers, as `AutoencoderTiny` has
them.

Each file is the state dict of one ``nn.Sequential``: an encoder's first weight is "0.weight", a decoder's "1.weight",
as what stands before it has none.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.compvis import count
from mmspec.pretrained.weights import read_weights

HALVES = {"encoder": "decoder", "decoder": "encoder"}


def with_other_half(weights: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The weights of both files, of which one has been read; any others as they are.

    Args:
        weights: of the one.
        file: where they stand, whose name has "encoder" or "decoder" in it; the other's has the other.

    Raises:
        InputError: if the other cannot be told or read, or is no other half.
    """
    half = _half(weights)
    if half is None:
        return weights
    found = re.match(f"(.*){half}(.*)", file.name, re.IGNORECASE | re.DOTALL)
    if found is None:
        raise InputError(
            f"{file} holds the {half} of a tiny autoencoder alone, and its name does not tell where the other is: call "
            f"the files ..._encoder{file.suffix} and ..._decoder{file.suffix}."
        )
    other = file.with_name(f"{found[1]}{HALVES[half]}{found[2]}")
    if not other.is_file():
        raise InputError(f"{file} holds the {half} of a tiny autoencoder alone: put {other.name} beside it.")
    rest = read_weights(other)
    if _half(rest) != HALVES[half]:
        raise InputError(f"{other} holds no {HALVES[half]} of a tiny autoencoder: fetch or copy it again.")
    return {
        **{f"{half}.{name}": tensor for name, tensor in weights.items()},
        **{f"{HALVES[half]}.{name}": tensor for name, tensor in rest.items()},
    }


def is_tiny(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of an `AutoencoderTiny`."""
    return "encoder.0.weight" in weights


def options(weights: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]]:
    """Name of the class and its arguments, by the names and shapes in a state dict.

    Raises:
        KeyError, ValueError: if this is no state dict of a tiny autoencoder's.
    """
    first = weights["encoder.0.weight"]
    last = count(weights, r"encoder\.(\d+)\.") - 1
    starts = [index for index in range(last) if f"encoder.{index}.weight" in weights]
    return "AutoencoderTiny", {
        "in_channels": first.shape[1],
        "channels": first.shape[0],
        "num_blocks": [end - start - 1 for start, end in zip(starts, [*starts[1:], last], strict=True)],
        "embed_channels": weights[f"encoder.{last}.weight"].shape[0],
        "pooled": any(".pool." in name for name in weights),
    }


def plain_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of diffusers' AutoencoderTiny under the names of the two files, whose decoder begins with a layer
    more.
    """
    renamed = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r"(encoder|decoder)\.layers\.(\d+)\.(.+)", name)
        renamed[f"{match[1]}.{int(match[2]) + (match[1] == 'decoder')}.{match[3]}" if match else name] = tensor
    return renamed


def _half(weights: Mapping[str, Tensor]) -> str | None:
    """Which half a file holds, if one."""
    if not all(re.match(r"\d+\.", name) for name in weights):
        return None
    return next((half for half, name in (("encoder", "0.weight"), ("decoder", "1.weight")) if name in weights), None)
