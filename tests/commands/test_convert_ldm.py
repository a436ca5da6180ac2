"""Latent diffusion checkpoints into folders that all commands read."""

import pytest
import yaml

from mmspec.cli import main
from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser


@pytest.fixture
def checkpoint(references):
    return references.file("ldm/ldm_uncond_vqf4_pl142.ckpt")


def test_a_checkpoint_is_converted_and_sampled(references, checkpoint, tmp_path, capsys):
    config = references.facts("ldm/ldm_uncond_vqf4")["config"]
    (tmp_path / "ldm.yaml").write_text(yaml.safe_dump({"model": {"params": config}}))
    out = tmp_path / "out"
    assert main(["convert", "ldm", str(checkpoint), str(out), f"ldm.config={tmp_path / 'ldm.yaml'}"]) == 0
    assert "UNet of" in capsys.readouterr().out
    assert Denoiser.from_pretrained(out).signal_shape == (3, 32, 32)
    drawn = tmp_path / "drawn"
    assert main(["sample", f"from={out}", f"out={drawn}", "sampler=ddim", "steps=2", "num=3", "device=cpu"]) == 0
    assert PackedDataset(drawn).meta.shape == (3, 32, 32)
    facts = ["ldm.num_head_channels=8", "ldm.image_size=8", "ldm.averaged=false"]
    assert main(["convert", "ldm", str(checkpoint), str(tmp_path / "raw"), *facts]) == 0
    weights = [(folder / "model.safetensors").read_bytes() for folder in (out, tmp_path / "raw")]
    assert weights[0] != weights[1]
    (out / "first_stage.safetensors").unlink()
    assert main(["info", f"from={out}"]) == 2
    assert "first_stage.safetensors cannot be read" in capsys.readouterr().err


def test_mistakes_get_one_sentence(checkpoint, tmp_path, capsys):
    for arguments, message in (
        (["ldm", str(checkpoint), str(tmp_path / "a")], "does not say how many attention heads"),
        (["ldm", str(checkpoint), str(tmp_path / "a"), "ldm.config=nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["edm", str(checkpoint), str(tmp_path / "a"), "ldm.num_heads=1"], "ldm.num_heads is for the format ldm"),
    ):
        assert main(["convert", *arguments]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "a").exists()
