"""Folders of the diffusers library, as CompVis's state dicts: the same networks under other names."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained import diffusers_config as known
from mmspec.pretrained import taesd
from mmspec.pretrained.compvis import count, first_stage_options, unet_options
from mmspec.pretrained.diffusers_config import Config
from mmspec.pretrained.diffusers_weights import read_folder
from mmspec.strangers import shown
from mmspec.typed import checked

KL_SCALE = 0.18215  # diffusers' default
TEXT_UNET = "UNet2DConditionModel"
UNETS, TINY = ("UNet2DModel", TEXT_UNET), "AutoencoderTiny"
FIRST_STAGE_NAMES = ("AutoencoderKL", "VQModel", TINY)
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
    return file.is_file() and "format" in known.read_config(file)


def unet(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict, under CompVis's names, of the UNet in a folder or its subfolder "unet", and what shapes do not tell:
    ``image_size``, ``dropout``, and ``num_heads`` or ``num_head_channels``.

    Raises:
        InputError: if there is none that mmspec knows, a key of its configuration has a value that mmspec does not
            build, or it cannot be read.
    """
    file, config = _part(folder, ("unet",), UNETS)
    known.refuse_others(config, file, known.UNET)
    dropout = checked(config.get("dropout", 0.0), float, f"{file}: dropout")
    if not 0 <= dropout <= 1:
        raise InputError(
            f"{file} has dropout={dropout}: expected a probability between 0 and 1; fetch or copy it again."
        )
    facts = {"image_size": config.get("sample_size"), "dropout": dropout, **_heads(config, file)}
    weights = read_folder(file.parent)
    try:
        weights = unet_names(weights, config)
        built = known.unet_shapes(unet_options(weights), config["_class_name"] == TEXT_UNET)
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise InputError(
            f"{file.parent} holds no UNet of latent diffusion's, or not one of the attention heads that {file} says "
            f"({_reason(error)})."
        ) from None
    known.refuse_others(config, file, {**known.UNET, **built}, known.UNET_WITHOUT_SHAPE)
    return weights, facts


def first_stage(folder: Path) -> tuple[dict[str, Tensor], float]:
    """State dict, under the names that mmspec gives it, and scale factor of the first stage in a folder or its "vae" or
    "vqvae".

    A VQModel that says diffusers' default of the scale, 0.18215, says nothing: the models were trained without one.

    Raises:
        InputError: as of `unet`.
    """
    file, config = _part(folder, ("vae", "vqvae"), FIRST_STAGE_NAMES)
    tiny = config["_class_name"] == TINY
    fixed, without_shape = (
        (known.TINY, known.TINY_WITHOUT_SHAPE) if tiny else (known.FIRST_STAGE, known.FIRST_STAGE_WITHOUT_SHAPE)
    )
    known.refuse_others(config, file, fixed)
    scale = checked(config.get("scaling_factor", 1.0 if tiny else KL_SCALE), float, f"{file}: scaling_factor")
    if not 0 < scale < math.inf:
        raise InputError(f"{file} has scaling_factor={scale}: expected a number above 0; give scale_factor=.")
    stored = read_folder(file.parent)
    try:
        weights = taesd.plain_names(stored) if tiny else autoencoder_names(stored)
        shapes = known.tiny_shapes(taesd.options(weights)[1]) if tiny else _shapes(weights)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{file.parent} holds no first stage that mmspec knows ({_reason(error)}).") from None
    known.refuse_others(config, file, {**fixed, **shapes}, without_shape)
    unscaled = config["_class_name"] == "VQModel" and scale == KL_SCALE
    return weights, 1.0 if unscaled else float(scale)


def _shapes(weights: Mapping[str, Tensor]) -> known.Values:
    return known.first_stage_shapes(first_stage_options(weights)[1])


def unet_names(weights: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """A UNet's state dict under CompVis's names, its queries, keys and values in one."""
    weights = current_names(weights)
    blocks = count(weights, r"down_blocks\.0\.resnets\.(\d+)\.")
    attends = {name.partition(".attentions.")[0] for name in weights if ".attentions." in name}
    renamed = {_unet_name(name, blocks, attends): tensor for name, tensor in weights.items()}
    head_channels = config.get("attention_head_dim", 8)
    for query in [name for name in renamed if name.endswith(".to_q.weight") and "transformer_blocks" not in name]:
        place = query.removesuffix("to_q.weight")
        for kind in ("weight", "bias"):
            parts = [renamed.pop(f"{place}to_{letter}.{kind}") for letter in "qkv"]
            width = min(head_channels or len(parts[0]), len(parts[0]))
            heads = [torch.unflatten(part, 0, (-1, width)) for part in parts]
            renamed[f"{place}qkv.{kind}"] = torch.stack(heads, dim=1).flatten(0, 2)
    return renamed


def autoencoder_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A first stage's state dict under CompVis's names, its attention as 1x1 convolutions."""
    weights = current_names(weights)
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


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with today's names of attention, which were others in 2022."""
    return {_replaced(name, OLD_NAMES) if ".attentions." in name else name: weights[name] for name in weights}


def _replaced(name: str, table: Mapping[str, str]) -> str:
    for old, new in table.items():
        name = name.replace(old, new)
    return name


def _heads(config: Config, file: Path) -> dict[str, int]:
    """How many heads attention has, or how many channels a head."""
    heads = config.get("attention_head_dim", 8)
    text = config["_class_name"] == TEXT_UNET
    if text and isinstance(heads, list) and heads and heads == heads[:1] * len(heads):
        heads = heads[0]
    if heads is None and not text:
        return {"num_heads": 1}
    if type(heads) is not int or heads < 1:
        raise InputError(
            f"{file} has attention_head_dim={shown(heads)}: mmspec builds one whole number of 1 or more for all "
            "levels; take a model that has it."
        )
    return {"num_heads": heads} if text else {"num_head_channels": heads}  # which a text model calls by the wrong name


def _part(folder: Path, parts: tuple[str, ...], classes: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    """The configuration of a part, and its file."""
    for file in (folder / "config.json", *(folder / name / "config.json" for name in parts)):
        if file.is_file() and (config := known.read_config(file)).get("_class_name") in classes:
            return file, config
    raise InputError(f"{folder} holds none of {', '.join(classes)}: expected a folder that diffusers saved.")


def _reason(error: Exception) -> str:
    return f"there is no {error.args[0]}" if isinstance(error, KeyError) else " ".join(str(error).split())
