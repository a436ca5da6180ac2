"""A run goes to the hub and comes back, without a network: a folder stands in for the hub."""

import re
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import mmspec
from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.pretrained import push_to_hub

TINY = {"model_channels": 8, "channel_mult": (1, 1), "num_blocks": 1, "attention_levels": ()}
NAME = "somebody/squares"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Its folder; a repository lies in it by its name."""
    home = tmp_path / "hub"

    def create_repo(self, repo_id, **options):
        (home / repo_id).mkdir(parents=True, exist_ok=True)

    def create_commit(self, repo_id, operations, **options):
        for operation in operations:
            shutil.copy(operation.path_or_fileobj, home / repo_id / operation.path_in_repo)
        return huggingface_hub.CommitInfo(
            commit_url=f"https://huggingface.co/{repo_id}", commit_message="", commit_description="", oid="0" * 40
        )

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", create_commit)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo_id, **options: str(home / repo_id))
    return home


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Trained, sampled and evaluated."""
    home = tmp_path_factory.mktemp("run")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    statistics = {"mean": 0.0, "std": 0.6, "sigma_data": 0.6}
    for side in ("train", "test"):
        meta = DatasetMeta(modality="image", source="squares, drawn for the test", statistics=statistics)
        write_packed(home / side, pixels, meta=meta)
    network = [
        "network=wavelet_unet",
        *(f"network.{key}={list(v) if isinstance(v, tuple) else v}" for key, v in TINY.items()),
    ]
    data = [f"data.train={home / 'train'}", f"data.test={home / 'test'}"]
    trainer = ["trainer.max_steps=1", "trainer.batch_size=2", "trainer.device=cpu", "trainer.tensorboard=false"]
    assert main(["train", f"run_dir={home / 'run'}", *network, *data, *trainer]) == 0
    assert main(["sample", f"from={home / 'run'}", "num=8", "steps=1", "device=cpu"]) == 0
    assert main(["evaluate", f"samples={home / 'run'}", "device=cpu"]) == 0
    return home / "run"


def test_a_run_comes_back_from_the_hub_as_it_was(run, hub):
    assert push_to_hub(run, NAME, licence="cc0-1.0") == f"https://huggingface.co/{NAME}"
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ours, theirs = mmspec.from_pretrained(run), mmspec.from_pretrained(NAME)
    assert torch.equal(ours(x, 0.7), theirs(x, 0.7))
    assert {file.name for file in (hub / NAME).iterdir()} == {
        *("config.json", "model.safetensors", "README.md", "evaluation.json", "spectra.png", "samples.png")
    }


def test_the_card_says_what_it_is_and_how_it_was_judged(run, hub):
    push_to_hub(run, NAME, licence="cc0-1.0")
    card = (hub / NAME / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "cc0-1.0" and front["library_name"] == "mmspec"
    evaluated = {each["type"] for each in front["model-index"][0]["results"][0]["metrics"]}
    assert "log_spectral_distance" in evaluated
    for part in ("3 x 16 x 16", "squares, drawn for the test, 24 signals", f'from_pretrained("{NAME}")', "process EDM"):
        assert part in card
    assert len(re.findall(r"^mmspec .*(?:train|sample|evaluate) ", card, re.MULTILINE)) >= 2
    for picture in re.findall(r"!\[.+\]\(([^)]+)\)", card):
        assert Image.open(hub / NAME / picture).size[0] > 50
    assert huggingface_hub.ModelCard.load(hub / NAME / "README.md").data.library_name == "mmspec"
    (usage,) = re.findall(r"^```python\n(.*?)^```", card, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(usage.replace("steps=18", "steps=1"), names)
    assert names["samples"].shape == (4, 3, 16, 16)


def test_a_denoiser_without_a_run_has_a_card_too(hub, tmp_path):
    network = UNet(in_channels=1, out_channels=1, dims=1, **TINY)
    Denoiser(network, EDM(), (1, 32), sample_rate=8000, classes=None).save_pretrained(tmp_path / "sound")
    push_to_hub(tmp_path / "sound", NAME)
    card = (hub / NAME / "README.md").read_text(encoding="utf-8")
    assert "1 x 32 at 8000 Hz" in card and "## Training" not in card and "Metrics" not in card


def test_what_is_no_denoiser_or_refused_is_said_in_a_sentence(tmp_path, run, hub, monkeypatch):
    with pytest.raises(InputError, match="holds no denoiser: give a run"):
        push_to_hub(tmp_path, NAME)

    def refuse(self, repo_id, **options):
        raise PermissionError("no token")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(InputError, match=r"PermissionError: no token\): log in by"):
        push_to_hub(run, NAME)
    assert not hub.exists()
