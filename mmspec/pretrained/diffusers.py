"""Folders of the diffusers library, as CompVis's state dicts: the same networks under other names."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.compvis import count
from mmspec.pretrained.weights import read_weights

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
UNETS, FIRST_STAGE_NAMES = ("UNet2DModel", "UNet2DConditionModel"), ("AutoencoderKL", "VQModel")
OLD_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}  # of 2022
UNET_NAMES = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "class_embedding.": "label_emb.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
RESNET_NAMES = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
AUTOENCODER_NAMES = {
    "mid_block.resnets.0.": "mid.block_1.",
    "mid_block.resnets.1.": "mid.block_2.",
    "mid_block.attentions.0.": "mid.attn_1.",
    "conv_norm_out.": "norm_out.",
    ".resnets.": ".block.",
    ".attentions.": ".attn.",
    ".downsamplers.0.": ".downsample.",
    ".upsamplers.0.": ".upsample.",
    ".conv_shortcut.": ".nin_shortcut.",
}
ATTENTION_NAMES = {"group_norm.": "norm.", "to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "proj_out."}


def is_saved_denoiser(folder: Path) -> bool:
    """Whether a folder is one of mmspec's own."""
    file = folder / "config.json"
    return file.is_file() and "format" in _config(folder)


def unet(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict, under CompVis's names, and configuration of the UNet in a folder or its subfolder "unet".

    Raises:
        InputError: if there is none that mmspec knows, or it cannot be read.
    """
    folder, config = _part(folder, ("unet",), UNETS)
    if config.get("use_linear_projection"):
        raise InputError(f"{folder} is a UNet of Stable Diffusion 2 or later, which mmspec does not know.")
    return unet_names(_weights(folder), config), config


def first_stage(folder: Path) -> tuple[dict[str, Tensor], float]:
    """State dict, under CompVis's names, and scale factor of the first stage in a folder or its "vae" or "vqvae".

    Raises:
        InputError: if there is none that mmspec knows, or it cannot be read.
    """
    folder, config = _part(folder, ("vae", "vqvae"), FIRST_STAGE_NAMES)
    # A VQModel's scaling_factor is a default of diffusers: the models were trained without.
    scale = config.get("scaling_factor", 0.18215) if config["_class_name"] == "AutoencoderKL" else 1.0
    return autoencoder_names(_weights(folder)), float(scale)


def betas(folder: Path) -> dict[str, Any]:
    """The scheduler in a folder's "scheduler", as arguments of `mmspec.diffusion.processes.LDM`.

    Raises:
        InputError: if it is missing, or the network does not predict the noise.
    """
    config = _config(folder / "scheduler", "scheduler_config.json")
    if config.get("prediction_type", "epsilon") != "epsilon":
        raise InputError(
            f"{folder} predicts {config['prediction_type']}: mmspec loads latent diffusion that predicts the noise."
        )
    trained = config.get("trained_betas")
    return {
        "schedule": trained or config.get("beta_schedule", "linear"),
        "timesteps": config.get("num_train_timesteps", 1000),
        "beta_min": config.get("beta_start", 1e-4),
        "beta_max": config.get("beta_end", 0.02),
    }


def unet_names(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A UNet's state dict under CompVis's names, its queries, keys and values in one."""
    weights = _new_names(weights)
    blocks = count(weights, r"down_blocks\.0\.resnets\.(\d+)\.")
    attends = {name.partition(".attentions.")[0] for name in weights if ".attentions." in name}
    renamed = {_unet_name(name, blocks, attends): tensor for name, tensor in weights.items()}
    head_channels = config.get("attention_head_dim") or 8
    for query in [name for name in renamed if name.endswith(".to_q.weight") and "transformer_blocks" not in name]:
        place = query.removesuffix("to_q.weight")
        for kind in ("weight", "bias"):
            parts = [renamed.pop(f"{place}to_{letter}.{kind}") for letter in "qkv"]
            heads = [torch.unflatten(part, 0, (-1, min(int(head_channels), len(part)))) for part in parts]
            renamed[f"{place}qkv.{kind}"] = torch.stack(heads, dim=1).flatten(0, 2)
    return renamed


def autoencoder_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A first stage's state dict under CompVis's names, its attention as 1x1 convolutions."""
    weights = _new_names(weights)
    levels = count(weights, r"encoder\.down_blocks\.(\d+)\.")
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        attention = ".attentions." in name
        name = re.sub(r"\.up_blocks\.(\d+)\.", lambda match: f".up.{levels - 1 - int(match[1])}.", name)
        name = _replaced(name.replace(".down_blocks.", ".down."), AUTOENCODER_NAMES)
        if attention:
            name = _replaced(name, ATTENTION_NAMES)
            axes = renamed["encoder.conv_in.weight"].ndim if "encoder.conv_in.weight" in renamed else 4
            tensor = tensor[(..., *[None] * (axes - 2))] if tensor.ndim == 2 else tensor
        renamed[name] = tensor
    return renamed


def _unet_name(name: str, blocks: int, attends: set[str]) -> str:
    for old, new in UNET_NAMES.items():
        if name.startswith(old):
            return new + _leaf(name.removeprefix(old), name)
    match = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    if match is None:
        return name
    side, level, kind, block, leaf = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if side == "down":
        index = 1 + level * (blocks + 1) + (blocks if kind == "downsamplers" else block)
        child = 1 if kind == "attentions" else 0
        leaf = leaf.replace("conv.", "op.", 1) if kind == "downsamplers" and leaf.startswith("conv.") else leaf
        return f"input_blocks.{index}.{child}.{_leaf(leaf, name)}"
    index = level * (blocks + 1) + (blocks if kind == "upsamplers" else block)
    child = {"resnets": 0, "attentions": 1, "upsamplers": 1 + (f"up_blocks.{level}" in attends)}[kind]
    return f"output_blocks.{index}.{child}.{_leaf(leaf, name)}"


def _leaf(leaf: str, name: str) -> str:
    if ".attentions." in name:
        if "transformer_blocks" in name or "proj_" in leaf:
            return leaf
        return leaf.replace("group_norm.", "norm.").replace("to_out.0.", "proj_out.")
    for old, new in RESNET_NAMES.items():
        if leaf.startswith(old):
            return new + leaf.removeprefix(old)
    return leaf


def _new_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_replaced(name, OLD_NAMES) if ".attentions." in name else name: weights[name] for name in weights}


def _replaced(name: str, table: Mapping[str, str]) -> str:
    for old, new in table.items():
        name = name.replace(old, new)
    return name


def _part(folder: Path, parts: tuple[str, ...], classes: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    for part in (folder, *(folder / name for name in parts)):
        if (part / "config.json").is_file():
            config = _config(part)
            if config.get("_class_name") in classes:
                return part, config
    raise InputError(f"{folder} holds none of {', '.join(classes)}: expected a folder that diffusers saved.")


def _weights(folder: Path) -> dict[str, Tensor]:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return read_weights(folder / name)
    raise InputError(f"{folder} lacks its weights: expected {WEIGHTS[0]}.")


def _config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    try:
        return dict(json.loads((folder / name).read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / name} cannot be read as JSON ({error}): fetch or copy it again.") from None
