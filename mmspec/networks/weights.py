"""Weights put in their place."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from mmspec.errors import InputError
from mmspec.strangers import Allowance, TooMuch, refuse_irregular

FREE_WEIGHTS, FREE_NUMBERS, GROWTH = 1000, 1 << 20, 4  # that a network may have beside those of its weights


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors.

    Raises:
        InputError: if there is none.
    """
    refuse_irregular(file)
    try:
        weights: dict[str, Tensor] = load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read as safetensors ({error}): fetch or copy it again.") from None
    return weights


@contextmanager
def no_larger_than(weights: Mapping[str, Tensor], where: str) -> Iterator[None]:
    """While a network is made, believe its configuration no further than the weights that it is for go.

    Raises:
        InputError: as soon as the network has some times more parameters than the weights, before all of it is made.
    """
    left = Allowance(FREE_WEIGHTS + GROWTH * len(weights), "parameters")
    numbers = Allowance(FREE_NUMBERS + GROWTH * sum(tensor.numel() for tensor in weights.values()), "numbers")

    def registered(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        left.take(parameter is not None)
        numbers.take(0 if parameter is None else parameter.numel())

    hook = register_module_parameter_registration_hook(registered)
    try:
        yield
    except TooMuch as error:
        raise InputError(
            f"{where} describes a network of {error}, and its weights hold far fewer: give the options, or the file, "
            "that belong to them."
        ) from None
    except (RuntimeError, MemoryError, OverflowError) as error:
        if not re.search("alloc|overflow|too large", f"{type(error).__name__} {error}", re.IGNORECASE):
            raise
        raise InputError(
            f"{where} describes a network that is larger than memory, and than its weights: give "
            "the options, or the file, that belong to them."
        ) from None
    finally:
        hook.remove()


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
