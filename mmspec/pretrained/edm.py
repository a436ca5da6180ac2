"""EDM's checkpoints (Karras et al. 2022) as denoisers."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.components import construct
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM, IDDPM, VE, VP, Process
from mmspec.errors import InputError
from mmspec.networks import EDMUNet
from mmspec.networks.weights import no_larger_than, put_weights
from mmspec.pretrained.edm_pickle import read_network
from mmspec.pretrained.other_files import refuse_others
from mmspec.pretrained.torch_legacy import STARTS
from mmspec.pretrained.weights import is_state_dict, plain_names, read_torch_file
from mmspec.strangers import clipped
from mmspec.typed import checked

SAMPLER_RANGE = (0.002, 80.0)  # of EDM's sampler, whatever lower or higher levels a network may know


def _edm(sigma_min: float = 0.0, sigma_max: float = float("inf"), sigma_data: float = 0.5) -> EDM:
    return EDM(sigma_data, max(sigma_min, SAMPLER_RANGE[0]), min(sigma_max, SAMPLER_RANGE[1]))


def _vp(beta_d: float = 19.9, beta_min: float = 0.1, M: int = 1000, epsilon_t: float = 1e-5) -> VP:
    return VP(beta_d, beta_min, M, epsilon_t)


def _iddpm(C_1: float = 0.001, C_2: float = 0.008, M: int = 1000) -> IDDPM:
    return IDDPM(M, C_1, C_2)


PRECONDITIONERS: dict[str, Callable[..., Process]] = {  # EDM's classes, with the arguments that they have there
    "EDMPrecond": _edm,
    "VPPrecond": _vp,
    "VEPrecond": VE,
    "iDDPMPrecond": _iddpm,
}


def load_edm(source: str | Path | Mapping[str, Tensor], **options: Any) -> Denoiser:
    """A denoiser with the weights of one of EDM's networks.

    Args:
        source: an official pickle (its averaged weights; nothing in it is executed), or a state dict, or a file that
            torch.save made of one.
        options: constructor arguments under EDM's own names: those of the network (``img_resolution``,
            ``img_channels`` (3), ``label_dim``, ``model_channels``, ``model_type``, ...) and of the preconditioner
            (``class_name="EDMPrecond"``, "VPPrecond", "VEPrecond" or "iDDPMPrecond"; ``sigma_data``, ...). A pickle
            knows them all, and options change them, e.g. ``dropout``; a state dict needs what differs from EDM's
            defaults, and ``img_resolution`` in any case. ``use_fp16`` has no effect: weights are float32, and autocast
            is the caller's choice.

    Raises:
        InputError: if the file cannot be read, is hostile, or its weights do not fit the arguments.

    Example:
        >>> denoiser = load_edm("edm-afhqv2-64x64-uncond-vp.pkl")
        >>> images = sample(denoiser, (16, 3, 64, 64), steps=40)
    """
    where, class_name, arguments, weights = _read(source)
    arguments = {**arguments, **options}
    named = checked(arguments.pop("class_name", class_name), str, f"{where}: class_name")
    class_name = named.rpartition(".")[2]
    if class_name not in PRECONDITIONERS:
        raise InputError(
            f"{where}: class_name={clipped(class_name)} is no preconditioner of EDM's: give one of "
            f"{', '.join(PRECONDITIONERS)}."
        )
    own = inspect.signature(PRECONDITIONERS[class_name]).parameters
    process = construct(
        PRECONDITIONERS[class_name], {key: value for key, value in arguments.items() if key in own}, where
    )
    network = _network({key: value for key, value in arguments.items() if key not in own}, class_name, weights, where)
    size = int(arguments["img_resolution"])
    classes = [str(i) for i in range(network.num_classes)] or None
    return Denoiser(network, process, (network.in_channels, size, size), classes=classes).eval()


def _read(source: str | Path | Mapping[str, Tensor]) -> tuple[str, str, dict[str, Any], Any]:
    """What errors call the source, its preconditioner, the constructor arguments that it knows, and its weights."""
    if isinstance(source, Mapping):
        return "the state dict", "EDMPrecond", {}, source
    path = Path(source)
    refuse_others(path)
    with path.open("rb") as file:
        saved = file.read(64).startswith((b"PK\x03\x04", *STARTS))  # by torch.save; EDM's pickles are bare
    if saved:
        return str(path), "EDMPrecond", {}, read_torch_file(path)
    return str(path), *read_network(path)


def _network(options: dict[str, Any], class_name: str, weights: Any, where: str) -> EDMUNet:
    """The network of these constructor arguments, with the weights in it."""
    if not is_state_dict(weights):
        raise InputError(f"{where} holds no state dict: give one that maps names to tensors.")
    if "img_resolution" not in options:
        raise InputError(f"{where} does not say for which size its network is: give img_resolution=.")
    weights = {name.removeprefix("model."): tensor for name, tensor in plain_names(weights, where).items()}
    options.pop("use_fp16", None)
    options.setdefault("in_channels", options.pop("img_channels", 3))
    options.setdefault("model_type", "DhariwalUNet" if "out_conv.weight" in weights else "SongUNet")
    if class_name == "iDDPMPrecond":
        weights.pop("u", None)  # the table of noise levels, which the process makes itself
        options.setdefault("out_channels", 2 * options["in_channels"])
    # Nothing is allocated or initialized before the weights are known to fit.
    with no_larger_than(weights, where), torch.device("meta"):
        network = construct(EDMUNet, options, f"{where}:")
    put_weights(network, weights, where)
    return network
