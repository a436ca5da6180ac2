"""CompVis's names of what `UNet`, `AutoencoderKL` and `VQModel` are made of, and what the shapes of weights tell.

Rombach et al. 2022. First stages have CompVis's names here too; a UNet's are translated.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

LEAVES = {  # within a residual block or a transformer
    "in_layers.0.": "norm1.",
    "in_layers.2.": "conv1.",
    "emb_layers.1.": "embed.",
    "out_layers.0.": "norm2.",
    "out_layers.3.": "conv2.",
    "skip_connection.": "skip.",
    "transformer_blocks.": "blocks.",
    ".ff.net.0.": ".feed_forward.0.",
    ".ff.net.2.": ".feed_forward.1.",
    ".to_out.0.": ".to_out.",
}
PLAIN = {  # outside of all blocks
    "time_embed.": "embed_time.",
    "label_emb.": "embed_label.",
    "input_blocks.0.0.": "conv_in.",
    "middle_block.0.": "middle.0.residual.",
    "middle_block.1.": "middle.0.attention.",
    "middle_block.2.": "middle.1.residual.",
    "out.0.": "norm_out.",
    "out.2.": "conv_out.",
}
UP = re.compile(r"output_blocks\.(\d+)\.[12]\.(?:conv|in_layers|emb_layers|out_layers)\.")  # what goes up


def unet_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A UNet's state dict under the names, and with the shapes, that `UNet` has; unknown names stay as they are."""
    blocks = _blocks_a_level(weights)
    plain = {name.removesuffix("qkv.weight") for name in weights if name.endswith(".qkv.weight")}
    translated = {}
    for name, tensor in weights.items():
        ours = _unet_name(name, blocks)
        if (
            f"{name.rpartition('.')[0].rpartition('.')[0]}." in plain
        ):  # attention without a context has 1D convolutions for linear layers
            ours = ours.replace(".proj_out.", ".proj.")
            tensor = tensor.squeeze(-1) if tensor.ndim == 3 else tensor
        translated[ours] = tensor
    return translated


def unet_options(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of `UNet` by the shapes in a state dict, which tell everything but the number of attention heads.

    Raises:
        KeyError, ValueError: if this is no state dict of CompVis's UNet.
    """
    blocks = _blocks_a_level(weights)
    levels = range(count(weights, r"output_blocks\.(\d+)\.0\.in_layers") // (blocks + 1))
    model_channels = weights["time_embed.0.weight"].shape[1]
    firsts = [f"input_blocks.{1 + level * (blocks + 1)}" for level in levels]
    widths = [weights[f"{first}.0.in_layers.2.weight"].shape[0] for first in firsts]
    keys = [name for name in weights if name.endswith("transformer_blocks.0.attn2.to_k.weight")]
    residual = any(".in_layers." in name and UP.match(name) for name in weights)
    return {
        "dims": weights["input_blocks.0.0.weight"].ndim - 2,
        "in_channels": weights["input_blocks.0.0.weight"].shape[1],
        "out_channels": weights["out.2.weight"].shape[0],
        "model_channels": model_channels,
        "channel_mult": [_whole(width, model_channels) for width in widths],
        "num_blocks": blocks,
        "attention_levels": [level for level in levels if f"{firsts[level]}.1.norm.weight" in weights],
        "context_channels": weights[keys[0]].shape[1] if keys else 0,
        "transformer_depth": count(weights, r"middle_block\.1\.transformer_blocks\.(\d+)\.") or 1,
        "num_classes": weights["label_emb.weight"].shape[0] if "label_emb.weight" in weights else 0,
        "scale_shift": weights["middle_block.0.emb_layers.1.weight"].shape[0] == 2 * widths[-1],
        "resample": "residual" if residual else "conv",
        "group_channels": 1,
    }


def averaged_names(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of a UNet's weights -> what their averages are called beside them: LitEma's names have lost their dots."""
    return {name: f"diffusion_model{name.replace('.', '')}" for name in weights}


def first_stage_options(weights: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]]:
    """Name of a first stage's class, and its arguments, by the shapes in a state dict, which tell all but the scale.

    Raises:
        KeyError, ValueError: if this is no state dict of CompVis's first stages.
    """
    levels = range(count(weights, r"encoder\.down\.(\d+)\."))
    channels = weights["encoder.conv_in.weight"].shape[0]
    options = {
        "dims": weights["encoder.conv_in.weight"].ndim - 2,
        "in_channels": weights["encoder.conv_in.weight"].shape[1],
        "channels": channels,
        "channel_mult": [
            _whole(weights[f"encoder.down.{level}.block.0.conv1.weight"].shape[0], channels) for level in levels
        ],
        "num_blocks": count(weights, r"encoder\.down\.0\.block\.(\d+)\."),
        "attention_levels": [level for level in levels if f"encoder.down.{level}.attn.0.q.weight" in weights],
        "middle_attention": "encoder.mid.attn_1.q.weight" in weights,
        "z_channels": weights["post_quant_conv.weight"].shape[0],
        "embed_channels": weights["post_quant_conv.weight"].shape[1],
    }
    codebook = weights.get("quantize.embedding.weight")
    if codebook is None:
        return "AutoencoderKL", options
    return "VQModel", {**options, "num_codes": codebook.shape[0]}


def count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the highest number at the pattern's group; ValueError if there are fewer weights than that."""
    found = max((int(match[1]) + 1 for name in weights if (match := re.match(pattern, name))), default=0)
    if found > len(weights):
        raise ValueError(f"{len(weights)} weights, one of which is numbered {found - 1}")
    return found


def _unet_name(name: str, blocks: int) -> str:
    for old, new in PLAIN.items():
        if name.startswith(old):
            return _leaf(new, name.removeprefix(old))
    match = re.match(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.*)", name)
    if match is None:
        return name
    side, index, child, leaf = match[1], int(match[2]) - (match[1] == "input"), int(match[3]), match[4]
    level, block = divmod(index, blocks + 1)
    level_name = f"{'encoder' if side == 'input' else 'decoder'}.{level}"
    if side == "input" and block == blocks:
        return _leaf(f"{level_name}.down.0.", leaf.replace("op.", "0.", 1) if leaf.startswith("op.") else leaf)
    if side == "output" and UP.match(name):
        return _leaf(f"{level_name}.up.0.", leaf.replace("conv.", "1.", 1) if leaf.startswith("conv.") else leaf)
    return _leaf(f"{level_name}.blocks.{block}.{('residual', 'attention')[child > 0]}.", leaf)


def _leaf(prefix: str, leaf: str) -> str:
    for old, new in LEAVES.items():
        leaf = leaf.replace(old, new)
    return prefix + leaf


def _blocks_a_level(weights: Mapping[str, Tensor]) -> int:
    """Residual blocks a level on the way down: the way up has one more, and its first level ends by going up."""
    ups = [int(match[1]) for name in weights if (match := UP.match(name))]
    return min(ups) if ups else count(weights, r"output_blocks\.(\d+)\.0\.in_layers") - 1


def _whole(width: int, unit: int) -> int:
    if width % unit:
        raise ValueError(f"a level of {width} channels is no multiple of {unit}")
    return width // unit
