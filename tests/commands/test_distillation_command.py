"""``mmspec train distillation=... distillation.teacher=...``: from a trained run to a smaller student."""

import json

import numpy as np
import pytest
import torch
import yaml

from mmspec import from_pretrained
from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed
from mmspec.networks import AutoencoderKL

SMALL = [
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "network.channel_mult=[1,2]",
    "trainer.batch_size=4",
    "trainer.max_steps=2",
    "trainer.device=cpu",
    "trainer.tensorboard=false",
]


def pictures(folder, size=8):
    pixels = np.random.default_rng(0).integers(0, 255, (12, size, size, 3)).astype(np.uint8)
    statistics = {"mean": 0.0, "std": 0.5, "sigma_data": 0.5}
    write_packed(folder, pixels, meta=DatasetMeta(modality="image", source="noise", statistics=statistics))
    return folder


def train(folder, data, *overrides):
    return main(["train", f"run_dir={folder}", f"data.train={data}", *SMALL, *overrides])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    assert train(folder / "run", pictures(folder / "data"), "network.model_channels=16") == 0
    return folder / "run"


def distil(teacher, folder, *overrides):
    slim = ["network=wavelet_unet", "network.model_channels=8", f"distillation.teacher={teacher}"]
    return train(folder, teacher.parent / "data", *slim, *overrides)


@pytest.mark.parametrize("kind", ["none", "spatial", "frequency", "both"])
def test_each_choice_trains_a_student_of_its_own(teacher, tmp_path, kind):
    assert distil(teacher, tmp_path / "run", f"distillation={kind}", "regularizer=amplitude") == 0
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["distillation"]
    weights = {"none": (0, 0), "spatial": (0.1, 0), "frequency": (0, 0.1), "both": (0.1, 0.1)}[kind]
    assert (config["spatial"], config["frequency"]) == weights
    assert (config["teacher_sha256"] is not None) == (kind != "none")
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert line["train/grad_share/amplitude"] > 0
    for term, weight in zip(("spatial", "frequency"), weights, strict=True):
        assert (line.get(f"train/loss/distill_{term}_weighted", 0) > 0) == (weight > 0)
    assert from_pretrained(tmp_path / "run").network.config["model_channels"] == 8
    assert distil(teacher, tmp_path / "run", f"distillation={kind}", "regularizer=amplitude") == 0  # nothing left to do


def test_a_teacher_that_trained_on_is_another_one(teacher, tmp_path, capsys):
    older, data = tmp_path / "teacher", pictures(tmp_path / "data")
    assert train(older, data, "network.model_channels=16") == 0
    assert distil(older, tmp_path / "run", "distillation=both") == 0
    assert train(older, data, "network.model_channels=16", "trainer.max_steps=3") == 0
    assert distil(older, tmp_path / "run", "distillation=both", "trainer.max_steps=3") == 2
    assert "distillation.teacher_sha256 was" in capsys.readouterr().err


def test_a_student_of_few_steps_begins_as_its_teacher_and_is_sampled_in_as_many(teacher, tmp_path, capfd):
    few = ["distillation=steps", f"distillation.teacher={teacher}", f"init_from={teacher}", "distillation.steps=2"]
    assert train(tmp_path / "run", teacher.parent / "data", *few, "distillation.substeps=4") == 0
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert line["train/loss/denoising"] > 0
    sampled = ["sample", f"from={tmp_path / 'run'}", "sampler=euler", "steps=2", "num=2", "device=cpu"]
    capfd.readouterr()
    assert main([*sampled, f"out={tmp_path / 'as_taught'}"]) == 0 and "was taught" not in capfd.readouterr().err
    assert main([*sampled, f"out={tmp_path / 'others'}", "steps=3"]) == 0
    assert "run was taught to do with few steps: sample it with sampler=euler steps=2" in capfd.readouterr().err
    assert main(sampled) == 0


def test_what_to_do_next_with_a_student_of_few_steps_names_its_sampler_and_a_teacher_without_a_task_is_noticed(
    teacher, tmp_path, capfd
):
    few = ["distillation=steps", f"distillation.teacher={teacher}", f"init_from={teacher}", "distillation.steps=2"]
    assert train(tmp_path / "few", teacher.parent / "data", *few) == 0
    assert f"mmspec sample from={tmp_path / 'few'} sampler=euler steps=2\n" in capfd.readouterr().out
    assert train(tmp_path / "alone", teacher.parent / "data", f"distillation.teacher={teacher}") == 0
    said = capfd.readouterr()
    assert f"distillation.teacher={teacher} is not used" in said.err
    assert f"mmspec sample from={tmp_path / 'alone'}\n" in said.out


@pytest.mark.parametrize("process", ["ddpm_p2", "ddpm_min_snr"])
def test_weightings_of_the_baselines_are_processes(teacher, tmp_path, process):
    assert train(tmp_path / "run", teacher.parent / "data", "network.model_channels=8", f"process={process}") == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["distillation.teacher=nowhere"], "nowhere is not there"),
        (["distillation.alpha=x"], "distillation.alpha takes a number, not 'x'"),
        (["distillation.steps=4"], "distillation.steps goes without spatial and frequency"),
        (["distillation.floor=0"], "distillation: floor must be above 0, not 0"),
        (["distillation.mixed_precision=fp8"], "distillation.mixed_precision takes 'no' or 'bf16', not 'fp8'"),
        (["network.patch_size=4"], "distillation: teacher and student have no features of one scale"),
        (["+distillation.beta=1"], "distillation.beta is no option: expected one of teacher, spatial"),
        (["distillation.teacher=null"], "distillation.teacher must be given"),
    ],
)
def test_mistakes_get_one_sentence_before_anything_is_written(teacher, tmp_path, capsys, overrides, message):
    assert distil(teacher, tmp_path / "run", "distillation=both", *overrides) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run/checkpoints").exists()


def test_steps_need_a_teacher_and_a_number(teacher, tmp_path, capsys):
    assert distil(teacher, tmp_path / "run", "distillation=steps", "distillation.teacher=null") == 2
    assert "distillation.teacher must be given" in capsys.readouterr().err
    assert distil(teacher, tmp_path / "run", "distillation=steps", "distillation.steps=0") == 2
    assert "distillation: steps and substeps must be 1 or more, not 0 and 2" in capsys.readouterr().err


def test_a_teacher_of_other_pictures_is_refused(teacher, tmp_path, capsys):
    data = pictures(tmp_path / "data", size=16)
    assert train(tmp_path / "run", data, "distillation=both", f"distillation.teacher={teacher}") == 2
    assert "the teacher has signals of shape (3, 8, 8), the student (3, 16, 16)" in capsys.readouterr().err
    assert train(tmp_path / "run", data, "distillation=both") == 2
    assert "distillation.teacher must be given" in capsys.readouterr().err


def test_students_of_latents_learn_from_teachers_of_the_same_latents(tmp_path, capsys):
    data, file = pictures(tmp_path / "data", size=16), tmp_path / "kl.ckpt"
    torch.manual_seed(0)
    torch.save({"state_dict": AutoencoderKL(channels=32, channel_mult=(1, 1), num_blocks=1).state_dict()}, file)
    latent = [f"first_stage.from={file}", "process=ldm"]
    assert train(tmp_path / "teacher", data, *latent, "network.model_channels=16") == 0
    slim = ["network=wavelet_unet", "network.model_channels=8"]
    slim += ["distillation=both", f"distillation.teacher={tmp_path / 'teacher'}"]
    assert train(tmp_path / "run", data, *latent, *slim) == 0
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert line["train/loss/distill_frequency"] > 0
    assert train(tmp_path / "other", data, *latent, *slim, "first_stage.scale_factor=2") == 2
    assert "the teacher has a first stage of SHA-256" in capsys.readouterr().err
