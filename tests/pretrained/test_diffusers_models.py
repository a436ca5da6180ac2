"""Diffusers' models of signals: their folders against the library's own values, and back."""

import json

import pytest
import torch

from mmspec.cli import main
from mmspec.diffusion import Denoiser, sample
from mmspec.diffusion.processes import DDPM, EDM
from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.pretrained import load_diffusers, save_diffusers

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

DDPM_OF_2020 = {  # as google/ddpm-cifar10-32 has them, which mmspec's own UNet does not compute
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "downsample_padding": 0,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}


def unet():
    torch.manual_seed(0)
    return diffusers.UNet2DModel(**DDPM_OF_2020).eval()


def pipeline(folder, prediction_type="epsilon", **options):
    model, scheduler = unet(), diffusers.DDPMScheduler(prediction_type=prediction_type, clip_sample=False)
    diffusers.DDPMPipeline(model, scheduler).save_pretrained(folder, **options)
    return model, scheduler


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_a_pipeline_predicts_what_diffusers_predicts(tmp_path, prediction_type):
    model, scheduler = pipeline(tmp_path, prediction_type)
    denoiser = load_diffusers(tmp_path)
    assert denoiser.signal_shape == (3, 8, 8)
    x = noise(1, 3, 8, 8)  # as diffusers scales it, sqrt(abar) x0 + sqrt(1 - abar) n
    for place in (0, 300, 900):
        kept = scheduler.alphas_cumprod[place]
        with torch.no_grad():
            theirs = scheduler.step(model(x, place).sample, place, x).pred_original_sample
            ours = denoiser(x / kept.sqrt(), ((1 - kept) / kept).sqrt())
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_ddim_takes_diffusers_steps(tmp_path):
    model, scheduler = pipeline(tmp_path)
    ddim = diffusers.DDIMScheduler.from_config(scheduler.config)
    ddim.set_timesteps(10)
    x = start = noise(2, 3, 8, 8)
    with torch.no_grad():
        for place in ddim.timesteps:
            x = ddim.step(model(x, place).sample, place, x).prev_sample
    ours = sample(load_diffusers(tmp_path), start, sampler="ddim", steps=10)
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [({"safe_serialization": False}, 0), ({"variant": "fp16"}, 1e-2), ({"max_shard_size": "20KB"}, 0)],
    ids=["bin", "fp16", "shards"],
)
def test_every_form_of_weights_is_read(tmp_path, options, tolerance):
    model = unet()
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (model.half() if tolerance else model).save_pretrained(tmp_path, **options)
    loaded = load_diffusers(tmp_path, process=DDPM()).network.model.state_dict()
    assert len(list(tmp_path.glob("*.safetensors"))) > 1 or "max_shard_size" not in options
    for name, tensor in expected.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=tolerance, atol=tolerance / 10)


def test_attention_has_old_names_too(tmp_path):
    """Of 2022, as google's models on the hub still have them."""
    model, _ = pipeline(tmp_path, safe_serialization=False)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = {}
    for name, tensor in model.state_dict().items():
        for now, then in old.items():
            name = name.replace(f".{now}.", f".{then}.") if ".attentions." in name else name
        weights[name] = tensor
    torch.save(weights, tmp_path / "unet" / "diffusion_pytorch_model.bin")
    loaded = load_diffusers(tmp_path).network.model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


def test_classes_are_told_and_hidden(tmp_path):
    torch.manual_seed(0)
    model = diffusers.UNet2DModel(**DDPM_OF_2020, num_class_embeds=3).eval()
    model.save_pretrained(tmp_path)
    denoiser = load_diffusers(tmp_path, process=DDPM())
    assert denoiser.classes == ["0", "1", "2"] and denoiser.told == {"labels": 3}
    x, timesteps, labels = noise(2, 3, 8, 8), torch.tensor([3.0, 700.0]), torch.tensor([2, 0])
    with torch.no_grad():
        theirs = model(x, timesteps, class_labels=labels).sample
        for told in (labels, torch.eye(3)[labels]):
            torch.testing.assert_close(denoiser.network(x, timesteps, labels=told), theirs)
        hidden = denoiser.network(x, timesteps, labels=torch.zeros(2, 3))
        model.class_embedding.weight.zero_()
        torch.testing.assert_close(hidden, model(x, timesteps, class_labels=labels).sample)
    save_diffusers(denoiser, tmp_path / "back")
    back = diffusers.DDPMPipeline.from_pretrained(tmp_path / "back").unet
    with torch.no_grad():
        torch.testing.assert_close(back(x, timesteps, class_labels=labels).sample, theirs)


def test_sound(tmp_path):
    torch.manual_seed(0)
    blocks = {
        "down_block_types": ("DownBlock1DNoSkip", "DownBlock1D"),
        "up_block_types": ("UpBlock1D", "UpBlock1DNoSkip"),
    }
    options = {"in_channels": 1, "out_channels": 1, "extra_in_channels": 64, "block_out_channels": (32, 32)}
    model = diffusers.UNet1DModel(sample_size=256, **blocks, **options).eval()
    model.save_pretrained(tmp_path)
    denoiser = load_diffusers(tmp_path, process=DDPM(), sample_rate=8000)
    assert (denoiser.signal_shape, denoiser.sample_rate) == ((1, 256), 8000)
    x, timesteps = noise(2, 1, 256), torch.tensor([3.0, 700.0])
    with torch.no_grad():
        torch.testing.assert_close(denoiser.network(x, timesteps), model(x, timesteps).sample)
        assert denoiser(noise(2, 1, 250), 1.0).shape == (2, 1, 250)


def test_what_is_converted_is_a_denoiser_and_goes_back(tmp_path):
    pipeline(tmp_path / "theirs", "v_prediction")
    assert main(["convert", "diffusers", str(tmp_path / "theirs"), str(tmp_path / "ours")]) == 0
    denoiser = Denoiser.from_pretrained(tmp_path / "ours")
    save_diffusers(denoiser, tmp_path / "back")
    back = diffusers.DDPMPipeline.from_pretrained(tmp_path / "back")
    for name, tensor in unet().state_dict().items():
        assert torch.equal(back.unet.state_dict()[name], tensor)
    assert back.scheduler.config.prediction_type == "v_prediction"
    torch.testing.assert_close(back.scheduler.alphas_cumprod, diffusers.DDPMScheduler().alphas_cumprod)
    with pytest.raises(InputError, match="holds something"):
        save_diffusers(denoiser, tmp_path / "back")


OURS = {"model_channels": 32, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (1,), "group_channels": 1}


@pytest.mark.parametrize(
    "options", [{}, {"scale_shift": True, "resample": "residual"}, {"head_channels": 16, "num_blocks": 2}], ids=str
)
def test_a_unet_of_ours_is_a_pipeline_of_theirs(tmp_path, options):
    network = UNet(**{**OURS, **options})
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    save_diffusers(Denoiser(network, DDPM("cosine", prediction="velocity"), (3, 16, 16)), tmp_path / "saved")
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path / "saved")
    x, timesteps = noise(2, 3, 16, 16), torch.tensor([7.0, 900.0])
    with torch.no_grad():
        ours, theirs = network(x, timesteps), pipeline.unet(x, timesteps).sample
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    table = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    torch.testing.assert_close(pipeline.scheduler.alphas_cumprod, table)
    again = load_diffusers(tmp_path / "saved")
    assert again.signal_shape == (3, 16, 16) and again.process.prediction == "velocity"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dims": 1}, "not UNet with DDPM"),
        ({"resample": "wavelet"}, "resample=wavelet"),
        ({"group_channels": 4}, r"norms have \[8, 16, .*32\] groups, not 32"),
        ({"num_heads": 2}, "num_heads is fixed"),
        ({"head_channels": 48}, "heads of 48 do not divide"),
        ({"patch_size": 2}, "folds patches"),
        ({"context_channels": 8}, "looks at a context"),
        ({"factors": 4}, "factors=4"),
    ],
)
def test_a_unet_that_diffusers_does_not_know_is_refused(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        save_diffusers(Denoiser(UNet(**{**OURS, **options}), DDPM()), tmp_path / "other")
    with pytest.raises(InputError, match="not UNet with EDM"):
        save_diffusers(Denoiser(UNet(**OURS), EDM()), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def changed(folder, **keys):
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"_class_name": "Transformer2DModel"}, "_class_name='Transformer2DModel': expected one of UNet2DModel"),
        ({"wavelets": 3}, "takes no wavelets"),
        ({"class_embed_type": "timestep"}, "class_embed_type=.timestep.: mmspec tells"),
        ({"block_out_channels": [8]}, "refuses its options"),
        ({"in_channels": 1}, "does not fit a DiffusersUNet"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(tmp_path, keys, said):
    pipeline(tmp_path)
    changed(tmp_path, **keys)
    with pytest.raises(InputError, match=said):
        load_diffusers(tmp_path)


def test_a_model_alone_does_not_tell_its_noise_levels(tmp_path):
    unet().save_pretrained(tmp_path / "unet")
    with pytest.raises(InputError, match="has no scheduler"):
        load_diffusers(tmp_path / "unet")
    diffusers.DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    assert load_diffusers(tmp_path / "unet").process.prediction == "noise"
    (tmp_path / "vae").mkdir()
    with pytest.raises(InputError, match="convert ldm reads it"):
        load_diffusers(tmp_path)
