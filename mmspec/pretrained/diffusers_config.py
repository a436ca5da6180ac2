"""What each key of diffusers' configurations may say: what `UNet`, first stages and `LDM` compute, and nothing else.

Shapes of weights do not tell most of it. A key is honoured by `mmspec.pretrained.diffusers`, or has no effect on what a
model computes, or has the value that mmspec builds; every other is refused, unknown keys too.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmspec.documents import parse_json
from mmspec.errors import InputError
from mmspec.strangers import clipped, read_document, shown

Config = Mapping[str, Any]  # as JSON has it
Values = Mapping[str, tuple[Any, ...]]  # key -> the values with which diffusers computes what mmspec does

UNET: Values = {
    "act_fn": ("silu", "swish"),
    "add_attention": (True,),
    "addition_embed_type": (None,),
    "addition_time_embed_dim": (None,),
    "attention_legacy_order": (False,),
    "attention_type": ("default",),
    "attn_norm_num_groups": (None, 32),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_scale_factor": (1,),
    "norm_eps": (1e-5,),
    "norm_num_groups": (32,),
    "num_attention_heads": (None,),
    "only_cross_attention": (False,),
    "projection_class_embeddings_input_dim": (None,),
    "resnet_out_scale_factor": (1,),
    "resnet_skip_time_act": (False,),
    "reverse_transformer_layers_per_block": (None,),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
    "use_linear_projection": (False,),
}
UNET_WITHOUT_SHAPE = (
    *("attention_head_dim", "dropout", "sample_size"),  # honoured
    *("addition_embed_type_num_heads", "num_train_timesteps", "upcast_attention"),  # of what is refused; of half floats
    *("decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"),  # of EMA
)
FIRST_STAGE: Values = {
    "act_fn": ("silu", "swish"),
    "latents_mean": (None,),
    "latents_std": (None,),
    "lookup_from_codebook": (False,),
    "norm_num_groups": (32,),
    "norm_type": ("group",),
    "shift_factor": (None, 0),
    "use_post_quant_conv": (True,),
    "use_quant_conv": (True,),
}
FIRST_STAGE_WITHOUT_SHAPE = ("scaling_factor", "force_upcast", "sample_size")  # honoured; of half floats; of tiles
TINY: Values = {
    "act_fn": ("relu",),
    "shift_factor": (None, 0),
    "upsample_fn": ("nearest",),
    "upsampling_scaling_factor": (2,),
}
TINY_WITHOUT_SHAPE = (
    *("scaling_factor", "force_upcast"),  # honoured; of half floats
    *("latent_magnitude", "latent_shift"),  # of latents that are written as pictures
)
SCHEDULER: Values = {
    "final_sigmas_type": ("zero", "sigma_min"),  # honoured, both
    "flow_shift": (None, 1),
    "interpolation_type": ("linear",),
    "invert_sigmas": (False,),
    "rescale_betas_zero_snr": (False,),  # else sigma is infinite at the last timestep
    "sigma_max": (None,),
    "sigma_min": (None,),
    "time_shift_type": ("exponential", "linear"),  # of use_dynamic_shifting
    "timestep_type": ("discrete",),
    "timestep_values": (None,),
    "use_beta_sigmas": (False, None),
    "use_dynamic_shifting": (False,),
    "use_exponential_sigmas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_karras_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "variance_type": (None, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
}
SCHEDULER_STEPS = (  # how diffusers' own samplers step, in whose place `sample` takes one of mmspec's
    *("clip_sample", "clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value", "thresholding"),
    *("algorithm_type", "disable_corrector", "euler_at_final", "lambda_min_clipped", "lower_order_final", "predict_x0"),
    *("skip_prk_steps", "solver_order", "solver_p", "solver_type", "tensor_format"),
)
BLOCKS = {"ResnetDownsampleBlock2D": "DownBlock2D", "ResnetUpsampleBlock2D": "UpBlock2D"}  # weights tell which


def read_config(file: Path) -> dict[str, Any]:
    """A configuration.

    Raises:
        InputError: if it cannot be read, is none, or names its class by something else than a text.
    """
    try:
        config = parse_json(read_document(file))
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON ({error}): fetch or copy it again.") from None
    if not isinstance(config, dict):
        raise InputError(f"{file} holds {type(config).__name__}, no keys and values: fetch or copy it again.")
    if not isinstance(name := config.get("_class_name", ""), str):
        raise InputError(f"{file} has _class_name={shown(name)}, which names no class: fetch or copy it again.")
    return config


def refuse_others(config: Config, file: Path, built: Values, known: Iterable[str] | None = None) -> None:
    """Raise InputError for the first key whose value is not among those built.

    Args:
        config: diffusers' configuration.
        file: where it stands.
        built: the values that are.
        known: other keys that there may be; None is all.
    """
    for key, value in config.items():
        if key in built and not any(_same(value, each) for each in built[key]):
            raise InputError(
                f"{file} has {clipped(key)}={clipped(json.dumps(value))}: of these weights mmspec builds "
                f"{json.dumps(built[key][0])} alone, which computes something else; take a model that has it."
            )
        if known is None or key in built or key in known or key.startswith("_") or value is None or value is False:
            continue
        raise InputError(
            f"{file} has {clipped(key)}={clipped(json.dumps(value))}, a key that mmspec does not know: what it changes "
            "would be lost; remove it if it changes nothing."
        )


def unet_shapes(options: dict[str, Any], text: bool) -> Values:
    """What the shapes of a UNet's weights tell, under diffusers' keys.

    Args:
        options: arguments of `UNet`.
        text: whether it is a UNet2DConditionModel.
    """
    widths = [options["model_channels"] * mult for mult in options["channel_mult"]]
    attends, attention = options["attention_levels"], "CrossAttn" if text else "Attn"
    names = [f"{attention if level in attends else ''}%sBlock2D" for level in range(len(widths))]
    resample = ("resnet" if options["resample"] == "residual" else "conv",)
    return {
        "in_channels": (options["in_channels"],),
        "out_channels": (options["out_channels"],),
        "block_out_channels": (widths,),
        "layers_per_block": (options["num_blocks"],),
        "down_block_types": ([name % "Down" for name in names],),
        "mid_block_type": ("UNetMidBlock2DCrossAttn" if text else "UNetMidBlock2D",),
        "up_block_types": ([name % "Up" for name in reversed(names)],),
        "num_class_embeds": (options["num_classes"] or None,),
        "resnet_time_scale_shift": ("scale_shift" if options["scale_shift"] else "default",),
        "time_embedding_dim": (None, 4 * options["model_channels"]),
        **({} if text else {"downsample_type": resample, "upsample_type": resample}),
        **({"cross_attention_dim": (options["context_channels"],)} if text else {}),
        **({"transformer_layers_per_block": (options["transformer_depth"],)} if text else {}),
    }


def first_stage_shapes(options: dict[str, Any]) -> Values:
    """What the shapes of a first stage's weights tell, under diffusers' keys; ``options``: its arguments."""
    attends = ["Attn" if level in options["attention_levels"] else "" for level in range(len(options["channel_mult"]))]
    embed, z_channels = options["embed_channels"], options["z_channels"]
    codes = {"num_vq_embeddings": (options["num_codes"],)} if "num_codes" in options else {}
    return {
        "in_channels": (options["in_channels"],),
        "out_channels": (options["in_channels"],),
        "block_out_channels": ([options["channels"] * mult for mult in options["channel_mult"]],),
        "layers_per_block": (options["num_blocks"],),
        "down_block_types": ([f"{name}DownEncoderBlock2D" for name in attends],),
        "up_block_types": ([f"{name}UpDecoderBlock2D" for name in reversed(attends)],),
        "mid_block_add_attention": (options["middle_attention"],),
        "latent_channels": (z_channels,),
        "vq_embed_dim": (None, embed) if embed == z_channels else (embed,),
        **codes,
    }


def tiny_shapes(options: dict[str, Any]) -> Values:
    """As `first_stage_shapes`, of an AutoencoderTiny; ``options``: its arguments."""
    blocks = options["num_blocks"]
    widths = ([options["channels"]] * len(blocks),)
    return {
        "in_channels": (options["in_channels"],),
        "out_channels": (options["in_channels"],),
        "latent_channels": (options["embed_channels"],),
        "encoder_block_out_channels": widths,
        "decoder_block_out_channels": widths,
        "block_out_channels": widths,
        "num_encoder_blocks": (blocks,),
        "num_decoder_blocks": (blocks[::-1],),
    }


def _same(value: Any, built: Any) -> bool:
    """Whether a value is that built: lists of one number a level where all levels are alike, and names of blocks."""
    if isinstance(value, list) and isinstance(built, list):
        return [BLOCKS.get(each, each) if isinstance(each, str) else each for each in value] == built
    if isinstance(value, list):
        return bool(value) and all(_same(each, built) for each in value)
    return bool(value == built) and isinstance(value, str) == isinstance(built, str)
