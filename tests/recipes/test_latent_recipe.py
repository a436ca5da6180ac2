"""Latent diffusion from pictures to a page, with a small random first stage, tiny networks and pictures made here."""

import json

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mmspec import from_pretrained
from mmspec.data import PackedDataset
from mmspec.networks import VQModel
from tests.recipe_runs import run

LOOK = ["--num", "3", "--size", "32", "--students", "unet", "--kinds", "both", "sample.steps=2"]
LOOK += ["trainer.batch_size=4", "trainer.max_steps=2", "trainer.tensorboard=false", "network.model_channels=8"]
LOOK += ["network.channel_mult=[1,2]", "network.num_blocks=1", "network.attention_levels=[]"]


def pictures(folder):
    """Of two sizes, in folders."""
    rng = np.random.default_rng(0)
    for index in range(20):
        path = folder / ("train", "val")[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (64, (64, 80)[index % 2], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def test_a_teacher_of_compvis_teaches_a_student_in_its_latents(tmp_path, references):
    params = references.facts("ldm/ldm_uncond_vqf4")["config"]
    (tmp_path / "ldm.yaml").write_text(yaml.safe_dump({"model": {"params": params}}))
    arguments = [
        "--data",
        pictures(tmp_path / "source"),
        "--weights",
        references.file("ldm/ldm_uncond_vqf4_pl142.ckpt"),
    ]
    code, _, error = run("ffhq_latent", *arguments, "--config", tmp_path / "ldm.yaml", *LOOK, cwd=tmp_path)
    assert code == 0, error[-3000:]
    home, packed = tmp_path / "exp/ffhq_latent", tmp_path / "exp/data/ffhq_latent"
    latents = PackedDataset(packed / "latents")
    assert latents.meta.shape == (3, 8, 8) and latents.meta.encoded == PackedDataset(packed / "train").meta.sha256
    student = from_pretrained(home / "runs/unet-both-0")
    assert student.first_stage.sha256() == latents.meta.first_stage
    assert type(student.process).__name__ == "LDM"
    assert PackedDataset(home / "runs/unet-both-0/samples/final").meta.shape == (3, 32, 32)
    evaluation = json.loads((home / "runs/teacher-0/evaluation.json").read_text())
    assert evaluation["spectrum"]["unit"] == "cycles/image"
    assert (home / "report.html").stat().st_size > 10_000


def test_with_a_first_stage_alone_the_teacher_is_trained(tmp_path):
    torch.manual_seed(0)
    stage = VQModel(channels=32, channel_mult=(1, 1, 1), num_blocks=1)
    torch.save({"state_dict": stage.state_dict()}, tmp_path / "first.ckpt")
    arguments = ["--data", pictures(tmp_path / "source"), "--first-stage", "first.ckpt", "--stop-stage", "2", *LOOK]
    code, _, error = run("ffhq_latent", *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    teacher = from_pretrained(tmp_path / "exp/ffhq_latent/teacher")
    assert teacher.first_stage.sha256() == stage.sha256() and teacher.latent_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a teacher with --weights or --teacher, or a first stage with --first-stage."),
        (["--weights", "nowhere.ckpt"], "--weights nowhere.ckpt: no such file or folder."),
        (["--stage", "0", "--data", "/nowhere"], "--data /nowhere: no such file or folder."),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, arguments, message):
    code, _, error = run("ffhq_latent", "--stage", "2", *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
