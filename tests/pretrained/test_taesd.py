"""Tiny autoencoders in two files, in one, and in folders of diffusers and of mmspec."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mmspec.cli import main
from mmspec.errors import InputError
from mmspec.networks import FirstStage
from mmspec.pretrained import diffusers_config, load_first_stage
from tests.tiny_autoencoders import plain_decoder, plain_encoder

FAMILY = {"taesd": (4, False), "taef1": (16, False), "taef2": (32, True)}
TINY = {
    "_class_name": "AutoencoderTiny", "act_fn": "relu", "block_out_channels": [8] * 3,
    "decoder_block_out_channels": [8] * 3, "encoder_block_out_channels": [8] * 3, "force_upcast": False,
    "in_channels": 3, "latent_channels": 4, "latent_magnitude": 3, "latent_shift": 0.5, "num_decoder_blocks": [2, 1, 1],
    "num_encoder_blocks": [1, 1, 2], "out_channels": 3, "scaling_factor": 1.0, "shift_factor": 0.0,
    "upsample_fn": "nearest", "upsampling_scaling_factor": 2,
}  # fmt: skip


def pair(latents=4, pooled=False, width=8, blocks=(1, 1, 2)):
    torch.manual_seed(0)
    facts = (3, width, blocks, latents, pooled)
    return plain_encoder(*facts), plain_decoder(*facts)


def write_pair(folder, encoder, decoder, name="tiny_{}.pth"):
    for half, network in (("encoder", encoder), ("decoder", decoder)):
        torch.save(network.half().state_dict(), folder / name.format(half))
        network.float()


def write_diffusers(folder, encoder, decoder, config=(), part="vae"):
    """As diffusers names them: behind the clamp, which is none of its layers, a decoder's come one sooner."""
    weights = {f"encoder.layers.{name}": tensor for name, tensor in encoder.state_dict().items()}
    for name, tensor in decoder.state_dict().items():
        index, _, leaf = name.partition(".")
        weights[f"decoder.layers.{int(index) - 1}.{leaf}"] = tensor
    (folder / part).mkdir(parents=True)
    save_file(weights, folder / part / "diffusion_pytorch_model.safetensors")
    (folder / part / "config.json").write_text(json.dumps({**TINY, **dict(config)}))


def assert_same(stage, encoder, decoder):
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        z = encoder(x)
        torch.testing.assert_close(stage.encode(2 * x - 1), z, rtol=0, atol=1e-6)
        torch.testing.assert_close(stage.decode(z), 2 * decoder(z) - 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("member", FAMILY)
@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_each_of_two_files_brings_the_other(tmp_path, member, half):
    encoder, decoder = pair(*FAMILY[member])
    write_pair(tmp_path, encoder, decoder, f"{member}_{{}}.pth")
    stage = load_first_stage(tmp_path / f"{member}_{half}.pth")
    assert stage.config["num_blocks"] == [1, 1, 2] and stage.config["pooled"] is FAMILY[member][1]
    assert stage.embed_channels == FAMILY[member][0] and stage.factor == 4 and stage.scale_factor == 1
    assert_same(stage, encoder, decoder)  # their weights are those of half precision by now
    assert not any(parameter.requires_grad for parameter in stage.parameters()) and not stage.training


def test_one_file_and_a_state_dict_serve_as_well(tmp_path):
    encoder, decoder = pair()
    parts = (("encoder", encoder), ("decoder", decoder))
    weights = {f"{half}.{name}": tensor for half, network in parts for name, tensor in network.state_dict().items()}
    save_file(weights, tmp_path / "both.safetensors")
    for source in (tmp_path / "both.safetensors", weights):
        assert_same(load_first_stage(source), encoder, decoder)
    assert load_first_stage(weights, scale_factor=0.5).scale_factor == 0.5


def test_published_files_load(published, shared):
    assert published.config["embed_channels"] == 32 and published.config["pooled"] and published.factor == 8
    assert sum(parameter.numel() for parameter in published.parameters()) == 2_677_027
    assert load_first_stage(shared / "data/taef2_decoder.pth").sha256() == published.sha256()


@pytest.mark.parametrize("part", [".", "vae"])
def test_a_folder_of_diffusers(tmp_path, part):
    encoder, decoder = pair()
    write_diffusers(tmp_path / "model", encoder, decoder, {"scaling_factor": 0.5}, part)
    stage = load_first_stage(tmp_path / "model")
    assert stage.scale_factor == 0.5
    assert_same(load_first_stage(tmp_path / "model", scale_factor=1.0), encoder, decoder)


@pytest.mark.parametrize("key", [*(key for key in TINY if key != "_class_name"), "of_tomorrow"])
def test_every_key_is_honoured_or_refused_by_name(tmp_path, key):
    encoder, decoder = pair()
    other = {"scaling_factor": 2.0, "force_upcast": True}.get(key, "another")
    write_diffusers(tmp_path, encoder, decoder, {key: other})
    if key in diffusers_config.TINY_WITHOUT_SHAPE:
        stage = load_first_stage(tmp_path)
        assert stage.scale_factor == (2.0 if key == "scaling_factor" else 1.0)
        return
    with pytest.raises(InputError, match=f"config.json has {key}={json.dumps(other)}"):
        load_first_stage(tmp_path)


def test_weights_of_another_class_are_refused(tmp_path):
    encoder, decoder = pair()
    write_diffusers(tmp_path, encoder, decoder, {"_class_name": "AutoencoderKL"})
    with pytest.raises(InputError, match=r"config\.json has"):
        load_first_stage(tmp_path)


def alone(folder):
    (folder / "tiny_decoder.pth").unlink()


def unnamed(folder):
    (folder / "tiny_encoder.pth").rename(folder / "weights.pth")


def twice(folder):
    (folder / "tiny_decoder.pth").write_bytes((folder / "tiny_encoder.pth").read_bytes())


def of_another_model(folder):
    torch.save(pair(latents=16)[1].state_dict(), folder / "tiny_decoder.pth")


def of_other_blocks(folder):
    torch.save(pair(blocks=(1, 2, 2))[1].state_dict(), folder / "tiny_decoder.pth")


@pytest.mark.parametrize(
    ("damage", "source", "message"),
    [
        (alone, "tiny_encoder.pth", "holds the encoder of a tiny autoencoder alone: put tiny_decoder.pth beside it"),
        (unnamed, "weights.pth", "its name does not tell where the other is"),
        (twice, "tiny_encoder.pth", "tiny_decoder.pth holds no decoder of a tiny autoencoder"),
        (of_another_model, "tiny_encoder.pth", "does not fit a AutoencoderTiny of"),
        (of_other_blocks, "tiny_decoder.pth", "does not fit a AutoencoderTiny of"),
    ],
)
def test_halves_that_do_not_fit_are_one_sentence(tmp_path, damage, source, message):
    write_pair(tmp_path, *pair())
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_first_stage(tmp_path / source)
    assert "\n" not in str(caught.value)


def test_it_is_converted_looked_at_and_read_again(tmp_path, capsys):
    encoder, decoder = pair()
    write_pair(tmp_path, encoder, decoder)
    out = tmp_path / "out"
    command = ["convert", "first_stage", str(tmp_path / "tiny_encoder.pth"), str(out)]
    assert main(command) == 0 and main(command) == 0
    assert "AutoencoderTiny of" in capsys.readouterr().out
    assert sorted(file.name for file in out.iterdir()) == ["config.json", "model.safetensors"]
    stage = load_first_stage(out)
    assert_same(stage, encoder, decoder)
    assert load_first_stage(out, scale_factor=2.0).scale_factor == 2
    assert main(["info", f"from={out}", "format=json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["first_stage"] == "AutoencoderTiny" and shown["config"] == stage.config
    assert shown["parameters"] == sum(parameter.numel() for parameter in stage.parameters())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "config.json").write_text('{"format": "mmspec-denoiser-2"}'), "no first stage of"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be read as safetensors"),
    ],
)
def test_a_folder_that_is_damaged_is_one_sentence(tmp_path, damage, message):
    load_first_stage({f"{half}.{name}": tensor for half, network in zip(("encoder", "decoder"), pair(), strict=True)
                      for name, tensor in network.state_dict().items()}).save_pretrained(tmp_path)  # fmt: skip
    damage(tmp_path)
    with pytest.raises(InputError, match=message):
        FirstStage.from_pretrained(tmp_path)
