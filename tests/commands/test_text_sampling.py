"""Samples of a text, with a stand-in for its encoder."""

import numpy as np
import pytest
import torch

from mmspec.cli import main
from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser, sample
from mmspec.diffusion.processes import LDM
from mmspec.experiment import conditions
from mmspec.networks import AutoencoderKL, UNet


class Letters:
    """Embeds each text by its length."""

    channels = 8

    def __init__(self, folder, device):
        assert folder == "clip"

    def __call__(self, words):
        return torch.tensor([float(len(text)) for text in words]).reshape(-1, 1, 1).expand(-1, 3, self.channels)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(conditions, "TextEncoder", Letters)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    torch.manual_seed(0)
    levels = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (1,)}
    network = UNet(in_channels=4, context_channels=8, **levels)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    stage = AutoencoderKL(channels=32, channel_mult=(1, 1), num_blocks=1)
    Denoiser(network, LDM(), (3, 16, 16), first_stage=stage).save_pretrained(tmp_path / "model")
    return tmp_path


def drawn(folder, name, *options):
    arguments = [f"from={folder / 'model'}", f"out={folder / name}", "num=2", "steps=2", "sampler=ddim", "device=cpu"]
    assert main(["sample", *arguments, "text_encoder=clip", *options]) == 0
    return PackedDataset(folder / name).data


def test_the_text_and_its_guidance_count(folder):
    cat, dogs, guided = (
        drawn(folder, name, *options)
        for name, options in {
            "cat": ["text=cat"],
            "dogs": ["text='two dogs'"],
            "guided": ["text=cat", "guidance=5"],
        }.items()
    )
    assert cat.shape == (2, 16, 16, 3)
    assert not np.array_equal(cat, dogs) and not np.array_equal(cat, guided)
    denoiser, words = Denoiser.from_pretrained(folder / "model"), Letters("clip", "cpu")
    cond = {"context": words(["cat"]).expand(2, -1, -1), "null_context": words([""])}
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    one, alone = (
        sample(denoiser, noise, sampler="ddim", steps=2, **options)
        for options in ({**cond, "guidance": 1.0}, {"context": cond["context"]})
    )
    torch.testing.assert_close(one, alone, rtol=1e-3, atol=1e-4)  # a scale of 1 is the conditional denoiser


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["text_encoder=clip"], "give text=, what its samples shall show, or captions="),
        (["text=cat"], "this denoiser looks at texts: give text_encoder=, the folder of a CLIP model."),
    ],
)
def test_what_is_missing_is_asked_for(folder, capsys, options, message):
    assert main(["sample", f"from={folder / 'model'}", f"out={folder / 'no'}", *options]) == 2
    assert message in capsys.readouterr().err


def test_widths_must_agree_and_texts_need_a_model_that_reads(folder, capsys, monkeypatch):
    monkeypatch.setattr(Letters, "channels", 5)
    options = ["text=cat", "text_encoder=clip", "device=cpu"]
    assert main(["sample", f"from={folder / 'model'}", f"out={folder / 'no'}", *options]) == 2
    assert "embeds words in 5 numbers, this denoiser looks at 8" in capsys.readouterr().err
    network = UNet(model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=())
    Denoiser(network, LDM(), (3, 8, 8)).save_pretrained(folder / "plain")
    assert main(["sample", f"from={folder / 'plain'}", f"out={folder / 'no'}", *options]) == 2
    assert "does not look at texts" in capsys.readouterr().err


def test_guidance_needs_to_know_what_no_text_is():
    with pytest.raises(ValueError, match=r"context= and null_context="):
        sample(lambda x, sigma: x, (1, 1, 2), sigmas=[1.0], guidance=2.0)
