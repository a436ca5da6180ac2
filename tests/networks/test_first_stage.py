"""First stages against CompVis's values, and what they promise."""

import copy

import pytest
import torch

from mmspec.networks.first_stage import AutoencoderKL, VQModel

TOLERANCE = 1e-4  # of the largest value
SMALL = {"channels": 32, "channel_mult": (1, 1), "num_blocks": 1}


def golden(references, name):
    """A first stage with the weights of the original, its values, and those weights."""
    config = references.facts(f"ldm/{name}")["config"]
    levels = config["ddconfig"]
    options = {
        "channels": levels["ch"],
        "channel_mult": levels["ch_mult"],
        "num_blocks": levels["num_res_blocks"],
        "z_channels": levels["z_channels"],
        "embed_channels": config["embed_dim"],
    }
    stage = VQModel(num_codes=config["n_embed"], **options) if "n_embed" in config else AutoencoderKL(**options)
    weights = references.weights(f"ldm/{name}")
    stage.load_state_dict(weights)
    return stage.requires_grad_(False), references.tensors(f"ldm/{name}"), weights


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def test_kl_agrees_with_compvis(references):
    stage, values, _ = golden(references, "fs_kl")
    moments = stage.moments(values["x"])
    assert_close(moments, values["moments"])
    mean, logvar = stage.distribution(moments)
    assert_close(mean, values["mode"])
    assert_close(logvar, values["logvar"])
    assert_close((0.5 * logvar).exp(), values["std"])
    assert_close(stage.distribution(values["clamp_moments"])[1], values["clamp_logvar"])
    assert_close(stage.decode(values["mode"]), values["dec_mode"])
    assert_close(stage.decode(values["sample"]), values["dec_sample"])
    odd = stage.moments(values["x_odd"])
    assert_close(odd, values["moments_odd"])
    assert_close(stage.decode(odd.chunk(2, 1)[0]), values["dec_odd"])


def test_kl_draws_with_the_noise_it_is_given(references, monkeypatch):
    stage, values, _ = golden(references, "fs_kl")
    monkeypatch.setattr(torch, "randn", lambda *_, **__: values["sample_noise"])
    assert_close(stage.draw(values["moments"]), values["sample"])


def test_vq_agrees_with_compvis(references):
    stage, values, _ = golden(references, "fs_vqf4")
    assert_close(stage.encode(values["x"]), values["prequant"])
    quantized, indices = stage.look_up(values["prequant"])
    assert torch.equal(indices.flatten(), values["indices"])
    assert_close(quantized, values["quant"])
    assert_close(stage.decode(values["prequant"]), values["dec"])
    assert_close(stage.decode(values["prequant"], quantize=False), values["dec_force_not_quantize"])
    assert_close(stage.encode(values["x_odd"]), values["prequant_odd"])
    assert_close(stage.decode(values["prequant_odd"]), values["dec_odd"])


def test_looking_up_lets_the_gradient_through(references):
    stage, values, _ = golden(references, "fs_vqf4")
    z = values["prequant"].requires_grad_()
    (stage.look_up(z)[0] * values["st_w"]).sum().backward()
    assert_close(z.grad, values["st_grad_prequant"])


@pytest.mark.parametrize("name", ["fs_kl", "fs_vqf4"])
def test_quiet_signals_show_that_epsilon_is_right(references, name):
    stage, values, weights = golden(references, name)
    quiet = references.tensors("ldm/quiet")
    kept = ("norm", "quantize")
    stage.load_state_dict(
        {key: value if any(part in key for part in kept) else value * quiet["factor"] for key, value in weights.items()}
    )
    if name == "fs_kl":
        assert_close(stage.moments(values["x"] * 0.01), quiet["fs_kl/moments"])
        assert_close(stage.decode(values["mode"] * 0.01), quiet["fs_kl/dec_mode"])
    else:
        assert_close(stage.encode(values["x"] * 0.01), quiet["fs_vqf4/prequant"])
        decoded = stage.decode(values["prequant"] * 0.01, quantize=False)
        assert_close(decoded, quiet["fs_vqf4/dec_force_not_quantize"])


@pytest.mark.parametrize("made", [AutoencoderKL, VQModel])
@pytest.mark.parametrize(("dims", "size", "latent"), [(1, (21,), (10,)), (2, (12, 21), (6, 10))])
def test_shapes_in_one_and_two_dimensions(made, dims, size, latent):
    stage = made(dims=dims, in_channels=2, attention_levels=(1,), embed_channels=5, z_channels=3, **SMALL)
    x = torch.randn(2, 2, *size)
    assert stage.latent_shape(x.shape[1:]) == (5, *latent)
    z = stage.encode(x)
    assert z.shape == (2, 5, *latent) and stage.moments(x).shape[1] == stage.moment_channels
    assert stage.decode(z).shape == (2, 2, *(2 * n for n in latent))
    rebuilt = made(**stage.config)
    rebuilt.load_state_dict(stage.state_dict())
    assert rebuilt.sha256() == stage.sha256()


@pytest.mark.parametrize("made", [AutoencoderKL, VQModel])
def test_scale_factor_scales_latents_alone(made):
    torch.manual_seed(0)
    plain = made(**SMALL)
    scaled = made(**SMALL, scale_factor=0.25)
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 8, 8)
    z = plain.encode(x, torch.Generator().manual_seed(1))
    torch.testing.assert_close(scaled.encode(x, torch.Generator().manual_seed(1)), 0.25 * z)
    torch.testing.assert_close(scaled.decode(0.25 * z), plain.decode(z))
    assert scaled.sha256() != plain.sha256()


def test_codes_are_found_in_float32_under_autocast():
    torch.manual_seed(0)
    stage = VQModel(num_codes=2048, **SMALL)
    z = torch.randn(2, 3, 16, 16) / 1000
    with torch.autocast("cpu", torch.bfloat16):
        found = stage.look_up(z)[1]
    nearest = torch.cdist(z.movedim(1, -1).flatten(0, 2).double(), stage.codebook.double()).argmin(1)
    assert (found.flatten() == nearest).float().mean() > 0.99


def test_copies_share_the_frozen_weights():
    stage = VQModel(num_codes=4, **SMALL)
    assert copy.deepcopy(torch.nn.Sequential(stage))[0] is stage


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="two or more levels"):
        VQModel(channel_mult=(1,))
    with pytest.raises(ValueError, match="dims must be 1 or 2"):
        AutoencoderKL(dims=3, **SMALL)
    with pytest.raises(ValueError, match=r"takes \[B, 3, H, W\]"):
        AutoencoderKL(**SMALL).encode(torch.zeros(1, 1, 8, 8))
