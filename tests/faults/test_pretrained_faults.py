"""Other people's weights: configurations that shapes do not reveal, and files that hold more than weights."""

import argparse
import array
import collections
import datetime
import decimal
import enum
import fractions
import http
import ipaddress
import json
import logging
import math
import os
import pathlib
import pickle
import random
import re
import subprocess
import sys
import time
import types
import uuid
import warnings
import zipfile
import zoneinfo
from dataclasses import fields

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.losses import WaveletLoss
from mmspec.losses.regularizer import Regularizer
from mmspec.networks import EDMUNet
from mmspec.pretrained import diffusers_config, load_diffusers, load_diffwave, load_edm, load_first_stage, load_ldm
from mmspec.pretrained.diffusers_scheduler import SCHEDULERS, Scheduler, levels
from mmspec.pretrained.torch_archive import read_state_dict
from mmspec.pretrained.weights import read_torch_file
from tests.pretrained.test_ldm import as_diffusers, configuration, key_maps, save_part

CKPT = "ldm/ldm_uncond_vqf4.ckpt"

# Folders of diffusers, their configurations in full, as its own programs write them

UNET = {
    "_class_name": "UNet2DModel", "_diffusers_version": "0.31.0", "act_fn": "silu", "add_attention": True,
    "attention_head_dim": 8, "attn_norm_num_groups": None, "block_out_channels": [32, 64],
    "center_input_sample": False, "class_embed_type": None, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 1, "downsample_type": "conv", "dropout": 0.0, "flip_sin_to_cos": True, "freq_shift": 0,
    "in_channels": 3, "layers_per_block": 1, "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2D",
    "norm_eps": 1e-05, "norm_num_groups": 32, "num_class_embeds": None, "num_train_timesteps": None,
    "out_channels": 3, "resnet_time_scale_shift": "default", "sample_size": 8, "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "upsample_type": "conv",
}  # fmt: skip
TEXT = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "addition_embed_type": None,
    "addition_embed_type_num_heads": 64, "addition_time_embed_dim": None, "attention_head_dim": 4,
    "attention_type": "default", "center_input_sample": False, "class_embed_type": None,
    "class_embeddings_concat": False, "conv_in_kernel": 3, "conv_out_kernel": 3, "cross_attention_norm": None,
    "downsample_padding": 1, "dropout": 0.0, "dual_cross_attention": False, "encoder_hid_dim": None,
    "encoder_hid_dim_type": None, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4,
    "mid_block_only_cross_attention": None, "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-05, "norm_num_groups": 32, "num_attention_heads": None, "num_class_embeds": None,
    "only_cross_attention": False, "out_channels": 4, "projection_class_embeddings_input_dim": None,
    "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": False, "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None, "sample_size": 16, "time_cond_proj_dim": None,
    "time_embedding_act_fn": None, "time_embedding_dim": None, "time_embedding_type": "positional",
    "timestep_post_act": None, "transformer_layers_per_block": 1, "upcast_attention": False,
    "use_linear_projection": False,
}  # fmt: skip
VQ = {
    "_class_name": "VQModel", "act_fn": "silu", "block_out_channels": [32, 32, 64], "layers_per_block": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 3, "force_upcast": False,
    "in_channels": 3, "latent_channels": 3, "lookup_from_codebook": False, "mid_block_add_attention": True,
    "norm_num_groups": 32, "norm_type": "group", "num_vq_embeddings": 32, "out_channels": 3, "sample_size": 32,
    "scaling_factor": 0.18215, "up_block_types": ["UpDecoderBlock2D"] * 3, "vq_embed_dim": None,
}  # fmt: skip
KL = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "force_upcast": True, "in_channels": 3, "latents_mean": None,
    "latents_std": None, "mid_block_add_attention": True, "norm_num_groups": 32, "out_channels": 3,
    "sample_size": 32, "scaling_factor": 0.18215, "shift_factor": None, "use_post_quant_conv": True,
    "use_quant_conv": True,
}  # fmt: skip
DDIM = {
    "_class_name": "DDIMScheduler", "beta_end": 0.0195, "beta_schedule": "scaled_linear", "beta_start": 0.0015,
    "clip_sample": False, "clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.995, "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "set_alpha_to_one": True,
    "steps_offset": 1, "thresholding": False, "timestep_spacing": "leading", "trained_betas": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def parts(references):
    """State dicts of a UNet and a first stage, as diffusers names them."""
    weights, maps = read_state_dict(references.file(CKPT)), key_maps(references)
    prefix = "model.diffusion_model."
    unet = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    stage = {name.removeprefix("first_stage_model."): v for name, v in weights.items() if "first_stage_model" in name}
    return (
        as_diffusers(unet, maps["ldm_uncond_vqf4:unet"]),
        as_diffusers(stage, maps["ldm_uncond_vqf4:first_stage"]),
    )


@pytest.fixture
def write(parts, tmp_path):
    """Writes a folder with other keys in its configurations."""

    def made(unet=(), vqvae=(), scheduler=(), weights=None):
        save_part(tmp_path / "unet", {**UNET, **dict(unet)}, parts[0] if weights is None else weights)
        save_part(tmp_path / "vqvae", {**VQ, **dict(vqvae)}, parts[1])
        (tmp_path / "scheduler").mkdir()
        (tmp_path / "scheduler/scheduler_config.json").write_text(json.dumps({**DDIM, **dict(scheduler)}))
        return tmp_path

    return made


def test_configurations_in_full_load(references, write):
    theirs = load_ldm(
        references.file("ldm/ldm_uncond_vqf4.ckpt"), configuration(references, "ldm_uncond_vqf4"), averaged=False
    )
    denoiser = load_ldm(write())
    assert denoiser.network.config == theirs.network.config and denoiser.process.config == theirs.process.config
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(denoiser(x, 1.5), theirs(x, 1.5))


def test_text_models_and_kl_configurations_in_full_load(references, tmp_path):
    maps, told = key_maps(references), references.tensors("ldm/unet_text")
    weights = references.weights("ldm/unet_text")
    names = ["CrossAttnDownBlock2D"] * 2, ["CrossAttnUpBlock2D"] * 2
    levels = {"down_block_types": [*names[0], "DownBlock2D"], "up_block_types": ["UpBlock2D", *names[1]]}
    shapes = {"block_out_channels": [32, 64, 64], "layers_per_block": 2, "cross_attention_dim": [24, 24, 24]}
    save_part(tmp_path / "unet", {**TEXT, **levels, **shapes}, as_diffusers(weights, maps["unet_text"]))
    stage = references.weights("ldm/fs_kl")
    shapes = {"block_out_channels": [32, 64, 64, 64], "layers_per_block": 2, "latent_channels": 4}
    save_part(tmp_path / "vae", {**KL, **shapes}, as_diffusers(stage, maps["fs_kl"]))
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/scheduler_config.json").write_text(json.dumps({**DDIM, "set_alpha_to_one": False}))
    denoiser = load_ldm(tmp_path)
    with torch.no_grad():
        out = denoiser.network(told["x"], told["t"].float(), context=told["context"])
    torch.testing.assert_close(out, told["out"], rtol=1e-4, atol=1e-4 * told["out"].abs().max().item())
    assert denoiser.first_stage.scale_factor == 0.18215 and denoiser.process.config["ends_clean"] is False


OTHERS = {  # a value of another kind than any that mmspec builds, where "another" would not do
    "num_class_embeds": 10, "time_embedding_dim": 64, "vq_embed_dim": 8, "attn_norm_num_groups": 8,
    "shift_factor": 0.1, "latents_mean": [0.1] * 3, "latents_std": [2.0] * 3, "norm_num_groups": 16,
    "block_out_channels": [32, 32], "layers_per_block": 3, "cross_attention_dim": 32, "sigma_min": 0.1,
}  # fmt: skip
WITHOUT = {  # honoured, or without effect on what a model computes
    "unet": diffusers_config.UNET_WITHOUT_SHAPE,
    "vqvae": diffusers_config.FIRST_STAGE_WITHOUT_SHAPE,
    "scheduler": (*(field.name for field in fields(Scheduler)), *diffusers_config.SCHEDULER_STEPS),
}
KEYS = [
    *(("unet", key) for key in {**UNET, **diffusers_config.UNET}),
    *(("vqvae", key) for key in {**VQ, **diffusers_config.FIRST_STAGE}),
    *(("scheduler", key) for key in {**DDIM, **diffusers_config.SCHEDULER}),
    *((part, "of_tomorrow") for part in WITHOUT),
]


@pytest.mark.parametrize(("part", "key"), [(p, k) for p, k in KEYS if k[0] != "_" and k not in WITHOUT[p]])
def test_every_key_of_another_value_is_refused_by_name(write, part, key):
    present = {"unet": UNET, "vqvae": VQ, "scheduler": DDIM}[part].get(key)
    value = OTHERS.get(key, not present if isinstance(present, bool) else "another")
    with pytest.raises(InputError) as caught:
        load_ldm(write(**{part: {key: value}}))
    message = str(caught.value)
    assert f"{part}/" in message and f"config.json has {key}={json.dumps(value)}" in message and "\n" not in message


def test_how_samplers_of_diffusers_step_is_taken_whatever_it_says(references, write):
    loaded = load_ldm(write(scheduler=dict.fromkeys(diffusers_config.SCHEDULER_STEPS, "another")))
    theirs = load_ldm(references.file(CKPT), configuration(references, "ldm_uncond_vqf4"))
    assert loaded.process.config == theirs.process.config


@pytest.mark.parametrize("part", ["unet", "vqvae", "scheduler"])
def test_folders_of_other_kinds_are_refused(write, part):
    with pytest.raises(InputError, match=r"_class_name=|holds none of"):
        load_ldm(write(**{part: {"_class_name": "FlowMatchEulerDiscreteScheduler"}}))


@pytest.mark.parametrize("name", [["DDIMScheduler"], {}, None, 3, [["DDIM"] * 9] * 900])
@pytest.mark.parametrize("part", ["unet", "vqvae", "scheduler"])
def test_a_class_that_is_no_text_is_refused_in_a_short_sentence(write, part, name):
    folder = write(**{part: {"_class_name": name}})
    with pytest.raises(InputError, match=", which names no class: ") as caught:
        load_ldm(folder)
    assert len(str(caught.value)) < 600
    if part != "scheduler":
        with pytest.raises(InputError, match=", which names no class: "):
            load_diffusers(folder / part)


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler", "LCMScheduler", "None"])
def test_folders_of_other_processes_are_refused(write, name):
    with pytest.raises(InputError, match=f"scheduler_config.json has _class_name='{name}': mmspec loads folders of"):
        load_ldm(write(scheduler={"_class_name": name}))


def test_attention_heads_of_null_are_one_at_every_level(references, write):
    """Diffusers: attention_head_dim=null is one head as wide as the level."""
    weights, maps = (
        read_state_dict(references.file(CKPT)),
        key_maps(references)["ldm_uncond_vqf4:unet"],
    )
    prefix = "model.diffusion_model."
    unet = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    theirs = load_ldm(weights, num_heads=1, image_size=8, averaged=False)
    saved = as_diffusers(unet, maps, head_channels=64)
    denoiser = load_ldm(write(unet={"attention_head_dim": None}, weights=saved))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(denoiser(x, 0.7), theirs(x, 0.7))
    assert denoiser.network.config["num_heads"] == 1


@pytest.mark.parametrize("heads", [0, -8, "8", [8, 8], [[8]], 7, 2.5, True])
def test_attention_heads_that_cannot_be_are_refused(write, heads):
    with pytest.raises(InputError, match=r"attention_head_dim=|attention heads"):
        load_ldm(write(unet={"attention_head_dim": heads}))


def test_sizes_dropout_and_scales_are_honoured(write):
    denoiser = load_ldm(write(unet={"sample_size": [8, 12], "dropout": 0.25}, vqvae={"scaling_factor": 0.5}))
    assert (denoiser.signal_shape, denoiser.latent_shape) == ((3, 32, 48), (3, 8, 12))
    assert denoiser.network.config["dropout"] == 0.25 and denoiser.first_stage.scale_factor == 0.5


@pytest.mark.parametrize("size", [[8], [8, 8, 8], "8", None, [8, "8"], 0])
def test_sizes_that_cannot_be_get_one_sentence(write, size):
    with pytest.raises(InputError, match="image_size"):
        load_ldm(write(unet={"sample_size": size}))


def test_what_the_network_predicts_is_honoured(write, tmp_path):
    denoiser = load_ldm(write())
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beta = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    abar = torch.cumprod(1 - beta, 0)[700]
    sigma = ((1 - abar) / abar).sqrt()
    file = tmp_path / "scheduler/scheduler_config.json"
    expected = {  # of x_t = sqrt(abar) x, by the definitions of diffusers' documentation
        "epsilon": lambda x_t, out: (x_t - (1 - abar).sqrt() * out) / abar.sqrt(),
        "v_prediction": lambda x_t, out: abar.sqrt() * x_t - (1 - abar).sqrt() * out,
        "sample": lambda x_t, out: out,
    }
    with torch.no_grad():
        x_t = (abar.sqrt() * x).float()
        out = denoiser.network(x_t, torch.full((2,), 700.0))
        for prediction, x0 in expected.items():
            file.write_text(json.dumps({**DDIM, "prediction_type": prediction}))
            ours = load_ldm(tmp_path)(x.float(), float(sigma))
            torch.testing.assert_close(ours, x0(x_t, out).float(), rtol=1e-4, atol=1e-4)
    for other in ("flow_prediction", ["epsilon"], None):
        file.write_text(json.dumps({**DDIM, "prediction_type": other}))
        with pytest.raises(
            InputError,
            match=r"scheduler_config.json: prediction_type takes 'epsilon' or 'v_prediction' or 'sample', not ",
        ):
            load_ldm(tmp_path)
    old = {key: value for key, value in DDIM.items() if key != "prediction_type"}
    file.write_text(json.dumps({**old, "predict_epsilon": False}))
    assert load_ldm(tmp_path).process.prediction == "signal"


def test_noise_levels_and_their_grid_are_honoured(write, tmp_path):
    cosine = load_ldm(write(scheduler={"beta_schedule": "squaredcos_cap_v2"})).process

    def alpha_bar(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    product, expected = 1.0, []
    for t in range(1000):
        product *= 1 - min(1 - alpha_bar((t + 1) / 1000) / alpha_bar(t / 1000), 0.999)
        expected.append(math.sqrt((1 - product) / product))
    torch.testing.assert_close(cosine.sigmas.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=0)

    file = tmp_path / "scheduler/scheduler_config.json"
    grids = {  # of ten steps, from the documentation of diffusers
        ("leading", 0): (900, 0),
        ("leading", 1): (901, 1),
        ("trailing", 0): (999, 99),
        ("linspace", 0): (999, 0),
    }
    for (spacing, offset), ends in grids.items():
        file.write_text(json.dumps({**DDIM, "timestep_spacing": spacing, "steps_offset": offset}))
        process = load_ldm(tmp_path).process
        timesteps = process.nearest(process.sampling_sigmas(10)).tolist()
        assert (timesteps[0], timesteps[-1]) == ends
    ends = ({"set_alpha_to_one": False}, {"_class_name": "UniPCMultistepScheduler", "final_sigmas_type": "sigma_min"})
    for said in ends:
        file.write_text(json.dumps({**DDIM, **said}))
        assert load_ldm(tmp_path).process.sigma_end == pytest.approx(math.sqrt(0.0015 / (1 - 0.0015)), rel=1e-6)
    file.write_text(json.dumps({**DDIM, "beta_schedule": "sigmoid"}))
    with pytest.raises(InputError, match="beta_schedule takes 'linear' or 'scaled_linear' or 'squaredcos_cap_v2', not"):
        load_ldm(tmp_path)


# Defaults of diffusers 0.35's constructors, key by key, and the keys that a class does not have
LEADING, EVENLY = ("leading", 0.0001, 0.02), ("linspace", 0.0001, 0.02)
KARRAS = ("linspace", 0.00085, 0.012)
DEFAULTS = {  # spacing, beta_start, beta_end, whether it ends at 0, and whether so where a key says that it does not
    "DDPMScheduler": (*LEADING, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "DDPMParallelScheduler": (*LEADING, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "DDIMScheduler": (*LEADING, True, {"set_alpha_to_one": False, "final_sigmas_type": True}),
    "DDIMParallelScheduler": (*LEADING, True, {"set_alpha_to_one": False, "final_sigmas_type": True}),
    "PNDMScheduler": (*LEADING, False, {"set_alpha_to_one": False, "final_sigmas_type": False}),
    "LMSDiscreteScheduler": (*EVENLY, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "EulerDiscreteScheduler": (*EVENLY, True, {"set_alpha_to_one": True, "final_sigmas_type": False}),
    "EulerAncestralDiscreteScheduler": (*EVENLY, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "HeunDiscreteScheduler": (*KARRAS, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "KDPM2DiscreteScheduler": (*KARRAS, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "KDPM2AncestralDiscreteScheduler": (*KARRAS, True, {"set_alpha_to_one": True, "final_sigmas_type": True}),
    "DPMSolverMultistepScheduler": (*EVENLY, True, {"set_alpha_to_one": True, "final_sigmas_type": False}),
    "DPMSolverSinglestepScheduler": (*EVENLY, True, {"set_alpha_to_one": True, "final_sigmas_type": False}),
    "DEISMultistepScheduler": (*EVENLY, False, {"set_alpha_to_one": False, "final_sigmas_type": False}),
    "UniPCMultistepScheduler": (*EVENLY, True, {"set_alpha_to_one": True, "final_sigmas_type": False}),
}


def scheduler(folder, **config):
    """Arguments of `LDM`, by a scheduler's configuration alone."""
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(config))
    return levels(folder)[0]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_key_that_is_absent_has_the_default_of_its_class(tmp_path, name):
    spacing, beta_min, beta_max, ends_clean, said = DEFAULTS[name]
    expected = {
        "schedule": "linear", "timesteps": 1000, "beta_min": beta_min, "beta_max": beta_max, "prediction": "noise",
        "ends_clean": ends_clean, "spacing": spacing, "steps_offset": 0,
    }  # fmt: skip
    assert scheduler(tmp_path, _class_name=name) == expected
    for key, value in {"set_alpha_to_one": False, "final_sigmas_type": "sigma_min"}.items():
        assert scheduler(tmp_path, _class_name=name, **{key: value})["ends_clean"] is said[key]
    found = scheduler(tmp_path, _class_name=name, timestep_spacing="trailing", steps_offset=3, beta_start=0.001)
    assert found["beta_min"] == 0.001
    assert found["spacing"] == ("linspace" if name == "DPMSolverSinglestepScheduler" else "trailing")


def test_a_clean_end_is_said_too(tmp_path):
    assert scheduler(tmp_path, _class_name="PNDMScheduler", set_alpha_to_one=True)["ends_clean"] is True
    assert scheduler(tmp_path, _class_name="DEISMultistepScheduler", set_alpha_to_one=True)["ends_clean"] is False


WRONG = {
    "scheduler": {
        "num_train_timesteps": ["1000", None, 1000.5, [1000], True, 0, -1],
        "beta_start": ["0.1", None, [0.1], True, {}, -0.1, 2],
        "beta_end": ["0.1", None, [0.1], 1.0, float("nan"), float("inf")],
        "beta_schedule": [None, 3, ["linear"], "Linear"],
        "trained_betas": ["linear", 0.1, [], ["0.1"], [0.1, None], [[0.1]], [0.1, 0.2]],
        "prediction_type": [None, 3, ["epsilon"], {}],
        "timestep_spacing": [None, 3, ["leading"], "karras"],
        "steps_offset": ["1", None, 1.5, [1], -1, True],
        "set_alpha_to_one": ["false", None, 1, [True]],
        "predict_epsilon": ["false", 1, [True]],
        "_class_name": [3, ["DDIMScheduler"], {}, None],
    },
    "unet": {
        "dropout": ["0.1", None, [0.1], -0.1, 1.5, float("nan")],
        "sample_size": ["8", None, [8, None], {}, 8.5, -8, True, [8, -8]],
        "block_out_channels": ["32", None, 32, ["32", "64"], [None, None], {}],
        "layers_per_block": ["1", None, [1, 2], {}],
        "norm_num_groups": ["32", None, [], {}],
        "down_block_types": [None, "DownBlock2D", [1, 2], [None, None], [["DownBlock2D"], []]],
        "in_channels": ["3", None, [], 3.5],
        "_class_name": [3, ["UNet2DModel"], {}, None],
    },
    "vqvae": {
        "scaling_factor": ["0.1", None, [0.1], {}, True, 0, -1, float("nan"), float("inf")],
        "latent_channels": ["3", None, [], {}],
        "block_out_channels": ["32", None, 32, [None] * 3],
        "num_vq_embeddings": ["32", None, []],
        "_class_name": [3, ["VQModel"], {}, None],
    },
}


@pytest.mark.parametrize("part", WRONG)
def test_values_of_wrong_types_get_one_sentence_that_names_file_and_key(write, part):
    folder = write()
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    right = json.loads(file.read_text())
    for key, values in WRONG[part].items():
        for value in values:
            file.write_text(json.dumps({**right, key: value}))
            with pytest.raises(InputError) as caught:
                load_ldm(folder)
            said = str(caught.value)
            named = {"sample_size": "image_size", "_class_name": "holds none of|_class_name"}.get(key, key)
            if (part, key) == ("scheduler", "num_train_timesteps"):
                named = "timesteps"
            if key in ("beta_start", "beta_end", "trained_betas"):
                named = f"{key}|betas must lie between"
            assert re.search(named, said), (key, value, said)
            assert str(folder) in said and "\n" not in said and len(said) < 600, (key, value, said)


@pytest.mark.parametrize("text", ["[1, 2]", "[[1, 2]]", "3", "{", "", "[" * 100000])
def test_configurations_that_are_none_get_one_sentence(write, tmp_path, text):
    folder = write()
    (folder / "scheduler/scheduler_config.json").write_text(text)
    with pytest.raises(InputError, match=r"scheduler_config.json (cannot be read as JSON|holds)"):
        load_ldm(folder)


# Weights in parts, in half precision, and not there at all


def test_variants_of_half_precision_are_read(write, parts):
    folder = write()
    half = {name: tensor.half() for name, tensor in parts[0].items()}
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    save_file(half, folder / "unet/diffusion_pytorch_model.fp16.safetensors")
    conv = load_ldm(folder).network.state_dict()["conv_in.weight"]
    assert conv.dtype == torch.float32 and torch.equal(conv, half["conv_in.weight"].float())


@pytest.mark.parametrize("variant", ["", ".fp16"])
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_weights_in_several_files_are_read(write, parts, kind, variant):
    folder = write()
    whole = load_ldm(folder)
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    names, places = list(parts[0]), {}
    for number, share in enumerate((names[:50], names[50:]), 1):
        file = folder / f"unet/diffusion_pytorch_model{variant}-0000{number}-of-00002.{kind}"
        tensors = {name: parts[0][name] for name in share}
        save_file(tensors, file) if kind == "safetensors" else torch.save(tensors, file)
        places |= dict.fromkeys(share, file.name)
    index = folder / f"unet/diffusion_pytorch_model.{kind}.index{variant}.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    for ours, theirs in zip(load_ldm(folder).parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    index.write_text(json.dumps({"weight_map": {**places, "extra": file.name}}))
    with pytest.raises(InputError, match=r"-00002-of-00002.\w+ lacks extra, which .*index.*json promises"):
        load_ldm(folder)
    index.write_text(json.dumps({"weight_map": {**places, names[0]: "../elsewhere.safetensors"}}))
    with pytest.raises(InputError, match=r"names \.\./elsewhere.safetensors: the parts of weights stand beside"):
        load_ldm(folder)
    index.write_text(json.dumps({"weight_map": places}))
    file.unlink()
    with pytest.raises(InputError, match=r"-00002-of-00002.\w+ is no file"):
        load_ldm(folder)
    index.unlink()
    with pytest.raises(InputError, match=r"lacks its weights: expected diffusion_pytorch_model.safetensors"):
        load_ldm(folder)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_pointers_of_git_lfs_are_named_as_such(write, tmp_path):
    folder = write()
    for name in ("model.ckpt", "model.pkl", "model.pt", "model.safetensors", "model.bin"):
        (tmp_path / name).write_bytes(LFS)
        for load in (load_ldm, load_first_stage, load_edm, load_diffwave):
            if name != "model.safetensors" or load in (load_ldm, load_first_stage):
                with pytest.raises(InputError, match=rf"{name} is a pointer of Git LFS.*: run git lfs pull"):
                    load(tmp_path / name)
    denoiser = load_ldm(folder)
    denoiser.save_pretrained(tmp_path / "out")
    for file in (tmp_path / "out/model.safetensors", folder / "unet/diffusion_pytorch_model.safetensors"):
        file.write_bytes(LFS)
    for load, where in ((Denoiser.from_pretrained, tmp_path / "out"), (load_ldm, folder)):
        with pytest.raises(InputError, match="run git lfs pull"):
            load(where)


# Files of torch.save: what wrappers do to names, the old format, and what people keep beside weights


def small_edm():
    torch.manual_seed(0)
    options = {"img_resolution": 8, "model_channels": 8, "channel_mult": (1,), "num_blocks": 1}
    network = EDMUNet(**options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network, options


PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_edm_weights_of_wrapped_networks(tmp_path, prefix, legacy):
    network, options = small_edm()
    weights = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    if prefix == "module.":
        weights["n_averaged"] = torch.tensor(7)  # as torch.optim.swa_utils.AveragedModel has it
    torch.save(weights, tmp_path / "edm.pt", _use_new_zipfile_serialization=not legacy)
    for source in (weights, tmp_path / "edm.pt"):
        loaded = load_edm(source, **options).network.state_dict()
        assert all(torch.equal(tensor, loaded[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_diffwave_weights_of_wrapped_networks(references, tmp_path, prefix, legacy):
    content = torch.load(references.file("lmnt/tiny_weights.pt"), weights_only=True)
    expected = load_diffwave(content).network.state_dict()
    content["model"] = {f"{prefix}{name}": tensor for name, tensor in content["model"].items()}
    torch.save(content, tmp_path / "diffwave.pt", _use_new_zipfile_serialization=not legacy)
    loaded = load_diffwave(tmp_path / "diffwave.pt")
    assert all(torch.equal(tensor, loaded.network.state_dict()[name]) for name, tensor in expected.items())


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "mapping"])
@pytest.mark.parametrize("where", ["module.", "_orig_mod.", "inside"])
def test_latent_diffusion_of_wrapped_networks(references, tmp_path, kind, where):
    weights, config = (
        read_state_dict(references.file(CKPT)),
        configuration(references, "ldm_uncond_vqf4"),
    )
    expected = load_ldm(weights, config)
    if where == "inside":  # the network alone was compiled; LitEma's names lose their dots
        wrapped = {
            name.replace("diffusion_model.", "diffusion_model._orig_mod.", 1)
            if name.startswith("model.")
            else name.replace("ema.diffusion_model", "ema.diffusion_model_orig_mod", 1): tensor.clone()
            for name, tensor in weights.items()
        }
    else:
        wrapped = {f"{where}{name}": tensor.clone() for name, tensor in weights.items()}
    source = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.ckpt")
    if kind == "safetensors":
        save_file(wrapped, source)
    elif kind != "mapping":
        torch.save({"state_dict": wrapped}, source, _use_new_zipfile_serialization=kind == "zip")
    loaded = load_ldm(wrapped if kind == "mapping" else source, config)
    assert loaded.first_stage.sha256() == expected.first_stage.sha256()
    for ours, theirs in zip(loaded.network.parameters(), expected.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_under_two_names_are_refused():
    network, options = small_edm()
    weights = network.state_dict()
    name = next(iter(weights))
    with pytest.raises(InputError, match=f"holds {name} twice"):
        load_edm({**weights, f"module.{name}": weights[name]}, **options)


class Config:
    """Somebody's own."""

    class Inner:
        """Of a class."""

    def __init__(self, **options):
        self.__dict__.update(options)

    def method(self):
        """Pickled as an attribute."""


class Colour(enum.Enum):
    RED = "red"


class Order(enum.IntEnum):
    FIRST = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class EasyDict(dict):
    """A dictionary with attributes, as EDM's own programs have it."""


EXTRAS = {
    "namespace": argparse.Namespace(lr=1e-4, path=pathlib.PurePosixPath("a/b")),
    "simple_namespace": types.SimpleNamespace(a=1),
    "path": pathlib.PosixPath("exp/run"),
    "dtype": torch.float16,
    "dtypes": {torch.bfloat16, torch.int8},
    "set": {1, "two", (3, 4)},
    "frozenset": frozenset({1, 2}),
    "paths": {pathlib.PurePosixPath("a"), pathlib.PurePosixPath("b")},
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, {"a": [1]}),
    "counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2], 5),
    "scalars": [np.float64(0.5), np.float32(2), np.int64(3), np.bool_(True), np.str_("text"), np.uint8(255)],
    "array": np.arange(3),
    "generator": np.random.default_rng(0),
    "device": torch.device("cpu"),
    "size": torch.Size([1, 2]),
    "bytes": b"\xff\x00",
    "bytearray": bytearray(b"ab"),
    "complex": 1 + 2j,
    "slice": slice(1, 2),
    "range": range(3),
    "own": Config(steps=3),
    "easy": EasyDict(a=1),
    "module": torch.nn.Linear(2, 2),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "loss": Regularizer(WaveletLoss(reduction="none")),
    "complex_tensor": torch.ones(2, dtype=torch.complex64),
    "uint16": torch.tensor([1, 2], dtype=torch.uint16),
    "class": Config,
    "ellipsis": ...,
    "not_implemented": NotImplemented,
    "sparse": torch.eye(3).to_sparse(),
    "rows": torch.eye(3).to_sparse_csr(),
    "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    "by_channel": torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint8),
    "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "meta": torch.empty(2, device="meta"),
    "layout": torch.strided,
    "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
    "odd_scalars": [np.complex64(1), np.datetime64("2020-01-01"), np.bytes_(b"x"), np.longdouble(1)],
    "odd_arrays": [np.array([1, "a", None], object), np.zeros(2, [("a", "i4")]), np.ma.masked_array([1, 2], [0, 1])],
    "default_of_numbers": collections.defaultdict(int, a=1),
    "chain": collections.ChainMap({"a": 1}),
    "user_dict": collections.UserDict(a=1),
    "times": [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), zoneinfo.ZoneInfo("UTC"), time.gmtime(0)],
    "numbers": [fractions.Fraction(1, 2), decimal.Decimal("1.5"), 10**100, float("nan")],
    "uuid": uuid.UUID(int=1),
    "enums": [Colour.RED, Order.FIRST, Access.READ | Access.WRITE, http.HTTPStatus.OK],
    "slices": [slice(1, 2, 3), slice(None)],
    "types": [int, type(None), list[int], int | None, torch.nn.functional.gelu, torch.tanh],
    "inner": [Config.Inner(), Config.Inner, Config(a=1).method],
    "pattern": [re.compile("a"), re.I],
    "exceptions": [ValueError("a"), RuntimeError],
    "address": ipaddress.ip_address("1.1.1.1"),
    "random": random.Random(0),
    "logger": logging.getLogger("somebody"),
    "packed": array.array("i", [1]),
    "schedule": torch.optim.lr_scheduler.ExponentialLR(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]), 0.9),
    "optimizer": torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]).state_dict(),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("extra", EXTRAS)
def test_harmless_extras_lie_beside_weights(tmp_path, extra, legacy, protocol):
    weights = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(3).half()}
    content = {"args": EXTRAS[extra], "state_dict": weights, "seed": 7}
    torch.save(content, tmp_path / "x.ckpt", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    found, whole = read_state_dict(tmp_path / "x.ckpt"), read_torch_file(tmp_path / "x.ckpt")
    assert whole["seed"] == 7 and set(found) == set(whole["state_dict"]) == set(weights)
    for name, tensor in weights.items():
        for ours in (found[name], whole["state_dict"][name]):
            assert torch.equal(ours, tensor) and ours.dtype == tensor.dtype


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_values_beside_weights_are_read_as_they_are(tmp_path, protocol):
    kept = ("scalars", "bytes", "bytearray", "ordered", "default", "set", "frozenset", "size")
    torch.save({key: EXTRAS[key] for key in kept}, tmp_path / "x.pt", pickle_protocol=protocol)
    found = read_torch_file(tmp_path / "x.pt")
    assert found["scalars"] == [0.5, 2.0, 3, True, "text", 255] and found["bytes"] == b"\xff\x00"
    assert found["bytearray"] == b"ab" and found["ordered"] == {"a": 1} and found["default"] == {"a": [1]}
    assert found["set"] == {1, "two", (3, 4)} and found["frozenset"] == {1, 2} and tuple(found["size"]) == (1, 2)


def test_params_of_diffwave_may_be_a_namespace_of_numpys_numbers(references, tmp_path):
    content = torch.load(references.file("lmnt/tiny_weights.pt"), weights_only=True)
    expected = load_diffwave(content)
    params = {**content["params"], "sample_rate": np.int64(content["params"]["sample_rate"])}
    torch.save({**content, "params": argparse.Namespace(**params)}, tmp_path / "x.pt")
    loaded = load_diffwave(tmp_path / "x.pt")
    assert loaded.sample_rate == expected.sample_rate and loaded.process.config == expected.process.config


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "posix.system": lambda: Calls(os.system, "touch pwned"),
    "builtins.eval": lambda: Calls(eval, "open('pwned', 'w')"),
    "io.open": lambda: Calls(open, "pwned", "w"),
    "subprocess.Popen": lambda: Calls(subprocess.Popen, ["touch", "pwned"]),
    "torch.serialization.load": lambda: Calls(torch.load, "x"),
    "torch.hub.load": lambda: Calls(torch.hub.load, "x", "y"),
    "builtins.print": lambda: print,
    "builtins.getattr": lambda: Calls(getattr, "", "join"),
    "builtins.type": lambda: Calls(type, "Name", (), {}),
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_harmless_is_refused_by_what_it_is(tmp_path, monkeypatch, capsys, name, legacy):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "x.ckpt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(
            {"state_dict": {}, "x": HOSTILE[name]()}, file, pickle_protocol=4, _use_new_zipfile_serialization=not legacy
        )
    for load in (load_ldm, load_edm, load_diffwave):
        with pytest.raises(InputError, match=f"x.ckpt asks for {name}, .*save the state dict alone") as caught:
            load(file)
        assert "authors" not in str(caught.value) and "truncated" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["x.ckpt"] and capsys.readouterr().out == ""


def test_a_whole_module_is_refused_by_what_it_is(tmp_path):
    for legacy in (False, True):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "x.ckpt", _use_new_zipfile_serialization=not legacy)
        for load in (load_ldm, load_edm, load_diffwave):
            with pytest.raises(InputError, match=r"a whole object of torch.nn.modules.linear.Linear, not its weights"):
                load(tmp_path / "x.ckpt")


OTHER_CONTENTS = {
    "a list": [1, 2],
    "a tensor alone": torch.ones(3),
    "a tuple": (torch.ones(1),),
    "a str": "weights",
    "a int": 3,
    "a NoneType": None,
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", OTHER_CONTENTS)
def test_what_has_no_names_is_said_to_be_what_it_is(tmp_path, kind, legacy):
    torch.save(OTHER_CONTENTS[kind], tmp_path / "x.ckpt", _use_new_zipfile_serialization=not legacy)
    for load in (load_ldm, load_edm, load_diffwave, load_first_stage):
        with pytest.raises(InputError, match=f"x.ckpt holds {kind}, no weights by their names"):
            load(tmp_path / "x.ckpt")


def test_files_of_other_kinds_are_said_to_be_what_they_are(tmp_path):
    file = tmp_path / "x.ckpt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program"))
    np.savez(tmp_path / "arrays.npz", a=np.ones(2))
    np.save(tmp_path / "array.npy", np.ones(2))
    save_file({"a": torch.ones(2)}, tmp_path / "safe")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("model.ckpt", b"1")
    kinds = {
        "is a TorchScript archive": (tmp_path / "program").read_bytes(),
        "is an archive of NumPy's arrays": (tmp_path / "arrays.npz").read_bytes(),
        "is an array of NumPy": (tmp_path / "array.npy").read_bytes(),
        "is a file of safetensors, whose name must end": (tmp_path / "safe").read_bytes(),
        "is an archive of other files": (tmp_path / "zip").read_bytes(),
        "is compressed by gzip": b"\x1f\x8b\x08" + bytes(20),
        "is an empty file": b"",
        "is a page of HTML": b"\n<!DOCTYPE html><html></html>",
    }
    for kind, content in kinds.items():
        file.write_bytes(content)
        for load in (load_ldm, load_edm, load_diffwave, load_first_stage):
            with pytest.raises(InputError, match=f"x.ckpt {kind}"):
                load(file)
    for load in (load_edm, load_diffwave):
        with pytest.raises(InputError, match="is no file, but a folder"):
            load(tmp_path)


ODD_WEIGHTS = {
    "complex64": lambda weight: weight.to(torch.complex64),
    "int8": lambda weight: (100 * weight).to(torch.int8),
    "bool": lambda weight: weight > 0,
    "qint8": lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
    "torch.sparse_coo": lambda weight: weight.to_sparse(),
    "on the meta device": lambda weight: weight.to("meta"),
}


@pytest.mark.parametrize("kind", ODD_WEIGHTS)
def test_weights_that_a_conversion_would_change_are_refused(kind):
    """Codes of quantized weights, and the real part of complex ones, made a network of other numbers in silence."""
    network, options = small_edm()
    weights = dict(network.state_dict())
    name = next(name for name, weight in weights.items() if weight.is_floating_point())
    weights[name] = ODD_WEIGHTS[kind](weights[name])
    with pytest.raises(InputError, match=f"the state dict: {name} is .*{kind}.*, where numbers of torch.float32 are"):
        load_edm(weights, **options)


def test_cut_files_of_the_old_format_are_refused(tmp_path):
    network, options = small_edm()
    torch.save(network.state_dict(), tmp_path / "whole.pt", _use_new_zipfile_serialization=False)
    data = (tmp_path / "whole.pt").read_bytes()
    for kept in (20, 300, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.pt").write_bytes(data[:kept])
        with pytest.raises(InputError, match=r"cut.pt (is no whole file of torch.save|is truncated)"):
            load_edm(tmp_path / "cut.pt", **options)


@pytest.mark.parametrize("name", ["hash_bomb_key", "set_bomb"])
def test_keys_that_take_forever_to_hash_are_refused(shared, tmp_path, name):
    data = (shared / f"faults/hostile/{name}.pkl").read_bytes()
    (tmp_path / "x.pkl").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
        archive.writestr("x/data.pkl", data)
    for load, file in ((load_edm, "x.pkl"), (load_ldm, "x.ckpt"), (load_diffwave, "x.ckpt")):
        with pytest.raises(InputError, match="asks for a key of more than 1000 parts"):
            load(tmp_path / file)


# Snapshots of EDM's training, with other people's objects in them


class Persistent:
    """Pickled as EDM pickles an object: class name, state, and the source text that its own reader runs."""

    def __init__(self, class_name, state, source):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


class OwnLoss:
    """A loss of somebody's own around one of ours."""

    def __init__(self):
        self.regularizer = Regularizer(WaveletLoss(levels=2, reduction="none"), 0.1)
        self.distance, self.mse = torch.nn.functional.mse_loss, torch.nn.MSELoss()
        self.options = EasyDict(levels=[1, 2], dtype=torch.float32, path=pathlib.PurePosixPath("x"))
        self.seen = torch.zeros(3, dtype=torch.int32)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_snapshot_of_edm_with_other_peoples_losses_loads(monkeypatch, tmp_path, protocol):
    module = types.ModuleType("torch_utils.persistence")
    exec("def _reconstruct_persistent_obj(meta): return meta", module.__dict__)
    module._reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)
    network, options = small_edm()
    state = {"_parameters": dict(network.state_dict(prefix="model.")), "_buffers": {}, "_modules": {}}
    state["_init_kwargs"] = {"img_channels": 3, **options}
    source = f"open({str(tmp_path / 'pwned')!r}, 'w')"
    persistent = Persistent("SpectralEDMLoss", {"P_mean": -1.2, "inner": OwnLoss()}, source)
    for loss in (
        OwnLoss(),
        persistent,
        Persistent("Loss", [OwnLoss()], source),
        Regularizer(WaveletLoss(reduction="none")),
    ):
        root = {"ema": Persistent("EDMPrecond", state, source), "loss_fn": loss, "augment_pipe": None}
        root["dataset_kwargs"] = EasyDict(path="x.zip", use_labels=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of storages
            (tmp_path / "snapshot.pkl").write_bytes(pickle.dumps(root, protocol))
        loaded = load_edm(tmp_path / "snapshot.pkl")
        assert all(torch.equal(t, loaded.network.state_dict()[name]) for name, t in network.state_dict().items())
    assert not (tmp_path / "pwned").exists()
