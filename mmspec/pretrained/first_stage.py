"""First stages of latent diffusion out of CompVis's checkpoints, TAESD's files, diffusers folders and our own."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmspec.components import Component
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.networks import FirstStage
from mmspec.networks.first_stage import FORMAT
from mmspec.networks.weights import no_larger_than, put_weights
from mmspec.pretrained import diffusers, taesd
from mmspec.pretrained.compvis import first_stage_options
from mmspec.pretrained.diffusers_config import read_config
from mmspec.pretrained.weights import plain_names, read_weights

IN_CHECKPOINT = "first_stage_model."  # in front of its names in the checkpoint of a whole model
BESIDE = ("loss.", "model_ema.")  # what its training left beside it


def load_first_stage(source: str | Path | Mapping[str, Tensor], scale_factor: float | None = None) -> FirstStage:
    """A first stage with other people's weights.

    Args:
        source: CompVis's checkpoint of a first stage or of a whole latent diffusion model (nothing in it is executed),
            its state dict, one of TAESD's two files, the other beside it, a diffusers folder with an AutoencoderKL, a
            VQModel or an AutoencoderTiny, or a folder that `FirstStage.save_pretrained` wrote, or
            `Denoiser.save_pretrained` of a denoiser with a first stage.
        scale_factor: of the latents. None takes what the source says, else 1; CompVis's checkpoints leave it to their
            YAML, except where it was measured.

    Raises:
        InputError: if the source cannot be read, is hostile, or holds no first stage.
    """
    if isinstance(source, Mapping):
        return first_stage(plain_names(source, "the state dict"), "the state dict", scale_factor)
    path = Path(source)
    if not path.is_dir():
        return first_stage(taesd.with_other_half(read_weights(path), path), str(path), scale_factor)
    if diffusers.is_saved_denoiser(path):
        stage = _saved(path)
        return stage if scale_factor is None else _made(stage.state_dict(), str(path), scale_factor)
    weights, stored = diffusers.first_stage(path)
    return _made(weights, str(path), stored if scale_factor is None else scale_factor)


def is_saved_first_stage(folder: Path) -> bool:
    """Whether a folder is one that `FirstStage.save_pretrained` wrote."""
    file = folder / "config.json"
    return file.is_file() and read_config(file).get("format") == FORMAT


def _saved(path: Path) -> FirstStage:
    if is_saved_first_stage(path):
        return FirstStage.from_pretrained(path)
    stage = Denoiser.from_pretrained(path).first_stage
    if stage is None:
        raise InputError(f"{path} is a denoiser of signals themselves: give one with a first stage.")
    return stage


def first_stage(weights: Mapping[str, Tensor], where: str, scale_factor: float | None = None) -> FirstStage:
    """The first stage in the state dict of a checkpoint: of its own, or of a whole model."""
    inside = {
        name.removeprefix(IN_CHECKPOINT): tensor for name, tensor in weights.items() if name.startswith(IN_CHECKPOINT)
    }
    measured = weights.get("scale_factor")
    if scale_factor is None and measured is not None and inside:
        scale_factor = float(measured)
    own = inside or weights
    kept = {name: tensor for name, tensor in own.items() if not name.startswith(BESIDE)}
    return _made(kept, where, scale_factor)


def _made(weights: Mapping[str, Tensor], where: str, scale_factor: float | None) -> FirstStage:
    try:
        name, options = (taesd.options if taesd.is_tiny(weights) else first_stage_options)(weights)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"{where} holds no first stage that mmspec knows, an AutoencoderKL, VQModel or AutoencoderTiny "
            f"({_reason(error)})."
        ) from None
    component = Component(name, {**options, "scale_factor": 1.0 if scale_factor is None else scale_factor})
    # Nothing is allocated or initialized before the weights are known to fit.
    with no_larger_than(weights, where), torch.device("meta"):
        stage: FirstStage = component.build(FirstStage, f"{where}:")
    put_weights(stage, weights, where)
    return stage.eval().requires_grad_(False)


def _reason(error: Exception) -> str:
    return f"there is no {error.args[0]}" if isinstance(error, KeyError) else str(error)
