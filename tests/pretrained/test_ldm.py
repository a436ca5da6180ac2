"""Latent diffusion models: agreement with CompVis's values, their files, and diffusers' forms of them."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from mmspec.components import choices
from mmspec.diffusion import Denoiser, Objective, sample
from mmspec.diffusion.objective import Draw
from mmspec.diffusion.processes import LDM
from mmspec.diffusion.processes.ddpm import ddpm_sigmas
from mmspec.diffusion.samplers import DDIM, ConditionedDenoiser
from mmspec.errors import InputError
from mmspec.networks import ClassContextUNet, FirstStage, UNet
from mmspec.pretrained import load_first_stage, load_ldm
from mmspec.pretrained.compvis import averaged_names, first_stage_options, unet_options, unet_weights
from mmspec.pretrained.diffusers import autoencoder_names, unet_names
from mmspec.pretrained.torch_archive import read_state_dict

TOLERANCE = 1e-4  # of the largest value
CHECKPOINTS = ["ldm_uncond_vqf4", "ldm_uncond_vqf4_pl142"]
UNET = "model.diffusion_model."


def configuration(references, name):
    return references.facts(f"ldm/{name}")["config"]


def assert_close(ours, theirs, tolerance=TOLERANCE):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def golden_unet(references, name, factor=1.0):
    """A UNet out of a state dict, its weights but those of norms times a factor."""
    weights = references.weights(f"ldm/{name}")
    norms = [key for key in weights if weights[key].ndim == 1 and key.replace("bias", "weight") in weights]
    norms = [key for key in norms if weights[key.replace("bias", "weight")].ndim == 1]
    scaled = {UNET + key: value if key in norms else value * factor for key, value in weights.items()}
    config = configuration(references, name)
    heads = {key: config[key] for key in ("num_heads", "num_head_channels", "image_size") if key in config}
    return load_ldm(scaled, linear_start=0.0015, linear_end=0.0195, **heads).network.requires_grad_(False)


@pytest.mark.parametrize("name", ["unet_uncond", "unet_cin", "unet_text"])
def test_unets_agree_with_compvis(references, name):
    network, golden = golden_unet(references, name), references.tensors(f"ldm/{name}")
    for suffix in ("", "_frac", "_rect"):
        x, t, context = (golden.get(key + suffix) for key in ("x", "t", "context"))
        cond = {} if context is None else {"context": context}
        assert_close(network(x, t.float(), **cond), golden[f"out{suffix}"])
    cond = {"context": golden["context"]} if "context" in golden else {}
    x = golden["x"].requires_grad_()
    (network(x, golden["t"].float(), **cond) * golden["grad_w"]).sum().backward()
    assert_close(x.grad, golden["grad_x"])


@pytest.mark.parametrize("name", ["unet_uncond", "unet_cin", "unet_text"])
def test_quiet_signals_show_that_epsilon_is_right(references, name):
    golden, quiet = references.tensors(f"ldm/{name}"), references.tensors("ldm/quiet")
    network = golden_unet(references, name, float(quiet["factor"]))
    cond = {"context": golden["context"]} if "context" in golden else {}
    assert_close(network(golden["x"] * 0.01, golden["t"].float(), **cond), quiet[f"{name}/out"])


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize(("averaged", "kind"), [(None, "ema"), (True, "ema"), (False, "raw")])
def test_a_whole_checkpoint_agrees_with_compvis(references, name, averaged, kind):
    config, golden = configuration(references, "ldm_uncond_vqf4"), references.tensors("ldm/ldm_uncond_vqf4")
    denoiser = load_ldm(references.file(f"ldm/{name}.ckpt"), config, averaged=averaged)
    assert (denoiser.signal_shape, denoiser.latent_shape) == ((3, 32, 32), (3, 8, 8))
    assert denoiser.process.config["schedule"] == "scaled_linear"
    image, first_stage = golden["image_bhwc"].movedim(-1, 1), denoiser.first_stage
    with torch.no_grad():
        assert_close(denoiser.latent.encode(image), golden["z"])
        assert_close(denoiser.decode(golden["z"]), golden["decoded_z"])
        assert_close(first_stage.decode(golden["z"], quantize=False), golden["decoded_z_force_not_quantize"])
        assert_close(denoiser.network(golden["x_noisy"], golden["t"].float()), golden[f"eps_{kind}"])
    sigma = denoiser.process.sigmas[golden["t"]]
    level = sigma[:, None, None, None]
    assert_close((golden["z"] + level * golden["noise"]) / (level**2 + 1).sqrt(), golden["x_noisy"])
    x = golden["x_noisy"] * (level**2 + 1).sqrt()
    with torch.no_grad():
        assert_close((x - denoiser(x, sigma)) / level, golden[f"eps_{kind}"], 1e-3)


def test_training_minimizes_what_compvis_minimizes(references):
    golden = references.tensors("ldm/ldm_uncond_vqf4")
    denoiser = load_ldm(
        references.file("ldm/ldm_uncond_vqf4.ckpt"), configuration(references, "ldm_uncond_vqf4"), averaged=False
    )
    objective = Objective(LDM())
    draw = Draw(denoiser.process.sigmas[golden["t"]], golden["noise"], torch.ones(len(golden["t"])))
    latents = denoiser.clean(golden["image_bhwc"].movedim(-1, 1))
    assert_close(objective(denoiser, latents, draw=draw).total.detach(), golden["loss_per_sample_l2"])


@pytest.mark.parametrize(("averaged", "eta"), [(False, 0), (False, 1), (True, 0)])
def test_ten_steps_of_ddim(references, averaged, eta):
    golden = references.tensors("ldm/ldm_uncond_vqf4")
    denoiser = load_ldm(
        references.file("ldm/ldm_uncond_vqf4.ckpt"), configuration(references, "ldm_uncond_vqf4"), averaged=averaged
    )
    table = ddpm_sigmas("scaled_linear", 1000, 0.0015, 0.0195)
    process = denoiser.process
    sigmas = [*table[process.nearest(process.sampling_sigmas(10))].tolist(), table[0].item()]
    case, draws = f"ddim10_{'ema' if averaged else 'raw'}_eta{eta}", iter(golden["ddim_noise"].double())
    xs = []

    def told(step, x, _):
        xs.append(x / np.hypot(1, sigmas[step + 1]))

    start = golden["x_T"].double() * np.hypot(1, sigmas[0])
    with torch.no_grad():
        DDIM(eta)(ConditionedDenoiser(denoiser, {}), start, sigmas, lambda: next(draws), told)
    for ours, theirs in zip(xs, golden[f"{case}_x"][1:], strict=True):
        assert_close(ours.float(), theirs, 1e-3)
    if averaged:
        assert_close(denoiser.decode(xs[-1]), golden["ddim10_ema_image"], 1e-2)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_config_beside_the_checkpoint_is_found(references, tmp_path, name):
    (tmp_path / "model.ckpt").write_bytes(references.file(f"ldm/{name}.ckpt").read_bytes())
    params = configuration(references, "ldm_uncond_vqf4")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": {"target": "ldm", "params": params}}))
    denoiser = load_ldm(tmp_path / "model.ckpt")
    images = sample(denoiser, (2, 3, 32, 32), sampler="ddim", steps=2, generator=torch.Generator().manual_seed(0))
    assert images.shape == (2, 3, 32, 32)
    denoiser.save_pretrained(tmp_path / "out")
    again = Denoiser.from_pretrained(tmp_path / "out")
    assert again.first_stage.sha256() == denoiser.first_stage.sha256()
    kept = sample(again, (2, 3, 32, 32), sampler="ddim", steps=2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(kept, images)


def test_names_of_averages(references):
    table = references.facts("ldm/ldm_uncond_vqf4")["ema_param_to_buffer"]
    names = [name.removeprefix("diffusion_model.") for name in table]
    assert list(averaged_names(dict.fromkeys(names)).values()) == list(table.values())


def full_sizes():
    return ["models/ldm/ffhq256", "models/ldm/celeba256", "models/ldm/cin256", "models/ldm/lsun_churches256",
            "models/ldm/lsun_beds256", "models/ldm/text2img256", "configs/latent-diffusion/cin256-v2",
            "configs/latent-diffusion/txt2img-1p4B-eval", "SD-v1"]  # fmt: skip


@pytest.fixture(scope="module")
def full_size_keys(references):
    return references.facts("ldm/full_size_keys")


def on_meta(shapes, prefix):
    return {name.removeprefix(prefix): torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("name", full_sizes())
def test_real_sizes_fit_name_for_name(full_size_keys, name):
    model = full_size_keys[name]
    weights = on_meta(model["first_stage_keys"], "first_stage_model.")
    kind, options = first_stage_options(weights)
    with torch.device("meta"):
        stage = choices(FirstStage)[kind](**options)
    assert {key: value.shape for key, value in stage.state_dict().items()} == {k: v.shape for k, v in weights.items()}
    assert sum(weight.numel() for weight in weights.values()) == model["n_first_stage_params"]

    weights = on_meta(model["unet_keys"], UNET)
    params = model["unet_config"]["params"]
    assert (unet_options(weights)["resample"] == "residual") == params.get("resblock_updown", False)
    heads = {"head_channels": params["num_head_channels"]} if "num_head_channels" in params else {}
    with torch.device("meta"):
        network = UNet(**unet_options(weights), **heads, num_heads=params.get("num_heads", 0))
    ours = {key: value.shape for key, value in unet_weights(weights).items()}
    assert ours == {key: value.shape for key, value in network.state_dict().items()}
    assert sum(weight.numel() for weight in network.parameters()) == model["n_unet_params"]


def key_maps(references):
    return references.facts("ldm/diffusers_key_map")


def test_every_name_of_diffusers_is_translated(references):
    for model, table in key_maps(references).items():
        names = [name for theirs in table.values() for name in (theirs if isinstance(theirs, list) else [theirs])]
        weights = {name: torch.zeros(8, 8) if name.endswith("weight") else torch.zeros(8) for name in names}
        first_stage = model.startswith("fs_") or model.endswith(":first_stage")
        renamed = autoencoder_names(weights) if first_stage else unet_names(weights, {"attention_head_dim": 4})
        assert set(renamed) == set(table), model


def as_diffusers(weights, table, head_channels=8, old=False):
    """A state dict of CompVis's as diffusers saves it."""
    saved = {}
    for name, tensor in weights.items():
        theirs = table[name]
        if isinstance(theirs, list):
            parts = tensor.squeeze(-1).unflatten(0, (-1, 3, head_channels)).unbind(1)
            saved |= {key: part.flatten(0, 1) for key, part in zip(theirs, parts, strict=True)}
        else:
            plain = ".attentions." in theirs and "to_" in theirs and "transformer_blocks" not in theirs
            saved[theirs] = tensor.flatten(1) if plain and tensor.ndim > 1 else tensor
    if old:
        for new, name in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
            saved = {
                key if "transformer_blocks" in key else key.replace(f".{new}.", f".{name}."): value
                for key, value in saved.items()
            }
    return {key: value.contiguous().clone() for key, value in saved.items()}


def save_part(folder, config, weights):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")


SCHEDULER = {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195, "num_train_timesteps": 1000}


@pytest.mark.parametrize("old", [False, True])
def test_a_diffusers_folder_is_the_same_denoiser(references, tmp_path, old):
    config = configuration(references, "ldm_uncond_vqf4")
    denoiser = load_ldm(references.file("ldm/ldm_uncond_vqf4.ckpt"), config)
    weights, maps = read_state_dict(references.file("ldm/ldm_uncond_vqf4.ckpt")), key_maps(references)
    unet = {name.removeprefix(UNET): value for name, value in weights.items() if name.startswith(UNET)}
    unet = {name: weights[f"model_ema.diffusion_model{name.replace('.', '')}"] for name in unet}
    stage = {name.removeprefix("first_stage_model."): v for name, v in weights.items() if "first_stage_model" in name}
    save_part(
        tmp_path / "unet",
        {"_class_name": "UNet2DModel", "attention_head_dim": 8, "sample_size": 8},
        as_diffusers(unet, maps["ldm_uncond_vqf4:unet"], old=old),
    )
    save_part(
        tmp_path / "vqvae",
        {"_class_name": "VQModel", "scaling_factor": 0.18215},
        as_diffusers(stage, maps["ldm_uncond_vqf4:first_stage"], old=old),
    )
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    loaded = load_ldm(tmp_path)
    assert loaded.first_stage.sha256() == denoiser.first_stage.sha256()
    assert load_first_stage(tmp_path / "vqvae").sha256() == denoiser.first_stage.sha256()
    for ours, theirs in zip(loaded.network.parameters(), denoiser.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert loaded.network.config == denoiser.network.config and loaded.signal_shape == denoiser.signal_shape
    assert loaded.process.config == denoiser.process.config


def test_a_diffusers_folder_with_a_text_model(references, tmp_path):
    maps, golden = key_maps(references), references.tensors("ldm/unet_text")
    weights = references.weights("ldm/unet_text")
    config = {"_class_name": "UNet2DConditionModel", "attention_head_dim": 4, "sample_size": 16}
    save_part(tmp_path / "unet", config, as_diffusers(weights, maps["unet_text"]))
    stage = references.weights("ldm/fs_kl")
    save_part(tmp_path / "vae", {"_class_name": "AutoencoderKL"}, as_diffusers(stage, maps["fs_kl"]))
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    denoiser = load_ldm(tmp_path)
    assert denoiser.first_stage.scale_factor == 0.18215
    with torch.no_grad():
        out = denoiser.network(golden["x"], golden["t"].float(), context=golden["context"])
    assert_close(out, golden["out"])


def test_first_stages_alone(references, tmp_path):
    weights = references.weights("ldm/fs_vqf4")
    torch.save({"state_dict": {**weights, "loss.discriminator.weight": torch.zeros(2)}}, tmp_path / "first.ckpt")
    stage = load_first_stage(tmp_path / "first.ckpt")
    assert stage.config["num_codes"] == 64 and stage.scale_factor == 1
    whole = load_first_stage(references.file("ldm/ldm_uncond_vqf4_pl142.ckpt"), scale_factor=0.5)
    assert whole.scale_factor == 0.5 and whole.factor == 4
    load_ldm(references.file("ldm/ldm_uncond_vqf4.ckpt"), configuration(references, "ldm_uncond_vqf4")).save_pretrained(
        tmp_path / "d"
    )
    saved = load_first_stage(tmp_path / "d")
    assert saved.sha256() == load_first_stage(references.file("ldm/ldm_uncond_vqf4.ckpt")).sha256() != whole.sha256()


def test_a_scale_that_was_measured_is_in_the_checkpoint(references, tmp_path):
    """LDM on churches divides latents by the deviation of its first batch, over all elements."""
    stage = references.tensors("ldm/fs_kl")
    measured = 1 / stage["sample_via_original"].std()
    torch.testing.assert_close(measured, stage["std_rescale_factor"])
    weights = references.weights("ldm/fs_kl")
    whole = {f"first_stage_model.{name}": tensor for name, tensor in weights.items()} | {"scale_factor": measured}
    save_file({name: tensor.clone() for name, tensor in whole.items()}, tmp_path / "model.safetensors")
    loaded = load_first_stage(tmp_path / "model.safetensors")
    assert loaded.scale_factor == float(measured) and load_first_stage(whole, scale_factor=2.0).scale_factor == 2
    torch.testing.assert_close(loaded.decode(measured * stage["mode"]), stage["dec_mode"], rtol=1e-4, atol=1e-4)


def test_class_embedding_through_cross_attention(references):
    golden, facts = references.tensors("ldm/unet_cin"), references.facts("ldm/class_embedder")
    embedding = torch.from_numpy(np.random.RandomState(facts["seed"]).randn(*facts["shape"])).float()
    context = references.tensors("ldm/class_embedder")
    weights = {UNET + key: value for key, value in references.weights("ldm/unet_cin").items()}
    weights["cond_stage_model.embedding.weight"] = embedding
    facts = {"num_heads": 1, "image_size": 16, "linear_start": 0.0015, "linear_end": 0.0195}
    plain = golden_unet(references, "unet_cin")
    for null_class, classes in ((None, 11), (True, 10)):
        denoiser = load_ldm(weights, null_class=null_class, **facts)
        assert isinstance(denoiser.network, ClassContextUNet) and len(denoiser.classes) == classes
        x, t, labels = golden["x"], golden["t"].float(), context["labels"]
        with torch.no_grad():
            if labels.max() < classes:
                torch.testing.assert_close(denoiser.network(x, t, labels=labels), plain(x, t, context=context["out"]))
            if null_class:
                null = embedding[-1].expand(len(x), 1, -1)
                torch.testing.assert_close(denoiser.network(x, t), plain(x, t, context=null))
                rows = torch.zeros(len(x), classes)
                torch.testing.assert_close(denoiser.network(x, t, labels=rows), plain(x, t, context=null))
    weights["cond_stage_model.embedding.weight"] = torch.zeros(11, 8)
    with pytest.raises(InputError, match="embeds classes in 8 numbers, its UNet looks at 16"):
        load_ldm(weights, **facts)


class Call:
    def __reduce__(self):
        return (print, ("executed",))


def altered(references, change):
    """The state dict of the golden checkpoint, changed."""
    weights = read_state_dict(references.file("ldm/ldm_uncond_vqf4.ckpt"))
    change(weights)
    return weights


def drop(weights, *prefixes):
    for name in [name for name in weights if name.startswith(prefixes)]:
        del weights[name]


CASES = {
    "only averages": (lambda w: drop(w, UNET), "found averaged weights alone"),
    "no unet": (lambda w: drop(w, "model"), "found none of its weights"),
    "a part of the averages": (
        lambda w: drop(w, "model_ema.diffusion_modeltime_embed0"),
        "has averages of 126 of 128 weights",
    ),
    "a missing weight": (
        lambda w: drop(w, f"{UNET}out.2.bias", "model_ema"),
        r"1 weights are missing \['conv_out.bias'",
    ),
    "a foreign weight": (
        lambda w: (drop(w, "model_ema"), w.update({f"{UNET}extra.weight": torch.zeros(1)})),
        r"1 unknown \['extra.weight'",
    ),
    "no betas": (lambda w: drop(w, "betas"), "holds no betas: give linear_start="),
    "half a first stage": (
        lambda w: drop(w, "first_stage_model.decoder.conv_in"),
        r"2 weights are missing \['decoder.conv_in.weight'",
    ),
    "another first stage": (
        lambda w: w.update({"first_stage_model.post_quant_conv.weight": torch.zeros(3, 4, 1, 1)}),
        "3 of another shape",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_gets_one_sentence(references, case):
    change, message = CASES[case]
    config = {key: value for key, value in configuration(references, "ldm_uncond_vqf4").items() if "linear" not in key}
    with pytest.raises(InputError, match=message) as caught:
        load_ldm(altered(references, change), config)
    assert "\n" not in str(caught.value)


def test_facts_that_only_the_yaml_knows(references):
    weights = read_state_dict(references.file("ldm/ldm_uncond_vqf4.ckpt"))
    with pytest.raises(InputError, match="how many attention heads"):
        load_ldm(weights, image_size=8)
    with pytest.raises(InputError, match="give image_size="):
        load_ldm(weights, num_head_channels=8)
    with pytest.raises(InputError, match="predicts v"):
        load_ldm(weights, num_head_channels=8, image_size=8, parameterization="v")
    with pytest.raises(InputError, match="num_hedds is no option of Facts"):
        load_ldm(weights, num_hedds=8)
    drop(weights, "model_ema.diffusion_model")
    with pytest.raises(InputError, match="has averages of 0 of 128 weights"):
        load_ldm(weights, num_head_channels=8, image_size=8, averaged=True)
    assert load_ldm(weights, num_head_channels=8, image_size=8).signal_shape == (3, 32, 32)


def test_damaged_and_hostile_files(references, tmp_path, capsys):
    whole = references.file("ldm/ldm_uncond_vqf4.ckpt").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"no checkpoint", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"is no whole file of torch.save|is an empty file"):
            load_ldm(tmp_path / name)
    with pytest.raises(InputError, match="is no file"):
        load_ldm(tmp_path / "absent.ckpt")
    with zipfile.ZipFile(tmp_path / "hostile.ckpt", "w") as archive:
        archive.writestr("hostile/data.pkl", pickle.dumps({"state_dict": {}, "callbacks": Call()}, protocol=2))
    with pytest.raises(InputError, match=r"asks for (builtins|__builtin__)\.print.*nothing in it was run"):
        load_ldm(tmp_path / "hostile.ckpt")
    assert "executed" not in capsys.readouterr().out
    (tmp_path / "some.safetensors").write_bytes(b"12345678")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_first_stage(tmp_path / "some.safetensors")
    with pytest.raises(InputError, match="holds no first stage that mmspec knows"):
        load_first_stage({"encoder.conv_in.weight": torch.zeros(3, 3, 3, 3)})
    with pytest.raises(InputError, match="holds none of UNet2DModel"):
        load_ldm(tmp_path)
