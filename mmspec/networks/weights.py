"""Weights put in their place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmspec.errors import InputError
from mmspec.files import refuse_lfs_pointer


def put_file(network: nn.Module, file: Path) -> None:
    """Give a network the weights in a file of safetensors, as `put_weights` does.

    Raises:
        InputError: if it cannot be read, or does not fit.
    """
    refuse_lfs_pointer(file)
    try:
        weights: dict[str, Any] = load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read as safetensors ({error}): copy or export it again.") from None
    put_weights(network, weights, str(file))


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Give a network, which may be on the meta device, the weights of a state dict, in its own types.

    Raises:
        InputError: if a weight is missing, unknown or of another shape, no plain numbers of its kind, or holds NaN.
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
    for name, tensor in expected.items():
        _refuse_other_kind(weights[name], tensor, f"{where}: {name}")
    typed = {name: weights[name].detach().to(tensor.dtype, copy=True) for name, tensor in expected.items()}
    if damaged := [name for name, tensor in typed.items() if tensor.isnan().any()]:
        raise InputError(f"{where}: {damaged[0]} holds NaN: take weights from before the training went wrong.")
    network.load_state_dict(typed, assign=True)


def _refuse_other_kind(weight: Tensor, expected: Tensor, what: str) -> None:
    """What a conversion would turn into other numbers in silence: codes of quantization, imaginary parts."""
    kind = (weight.is_floating_point(), weight.is_complex())
    plain = weight.layout == torch.strided and not weight.is_meta
    if kind != (expected.is_floating_point(), expected.is_complex()) or not plain:
        found = "without values, on the meta device" if weight.is_meta else f"{weight.layout}, {weight.dtype}"
        raise InputError(
            f"{what} is {found}, where numbers of {expected.dtype} are expected: save the weights as dense tensors of "
            "floating numbers."
        )


def _options(network: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in network.config.items())
