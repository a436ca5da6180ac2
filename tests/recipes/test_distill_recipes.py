"""The distillation recipes from data to table, with tiny networks and few steps."""

import json

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from mmspec import from_pretrained
from mmspec.report.table import read_table
from tests.recipe_runs import run

LOOK = ["--num", "4", "--seeds", "0", "--kinds", "both", "--also", ""]
LOOK += ["sample.steps=2", "trainer.batch_size=4", "trainer.max_steps=2", "trainer.tensorboard=false"]
LOOK += ["network.model_channels=4", "network.channel_mult=[2,2]", "network.attention_levels=[]"]
DIMS = {"distill_demo": "", "distill_speech": "_1d"}


def pictures(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(folder / f"{index}.png")
    return folder


def recordings(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(24):
        soundfile.write(folder / f"{index % 3}_ann_{index}.wav", 0.1 * rng.standard_normal(5000), 8000)
    return folder


@pytest.mark.parametrize(("name", "data"), [("distill_demo", pictures), ("distill_speech", recordings)])
def test_teacher_and_students_end_in_one_table(tmp_path, name, data):
    gated, noise_gated = (f"small_{kind}_unet{DIMS[name]}" for kind in ("wavelet", "noise_gated"))
    arguments = ["--data", data(tmp_path / "source"), *LOOK, "--students", gated, "--also", f"{noise_gated}-both-none"]
    code, _, error = run(name, *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    home = tmp_path / "exp" / name
    table = read_table(home / "table.json")
    measured = {row: cells[0].mean for row, cells in table.rows.items() if cells[0].mean is not None}
    folders = {"Teacher": "teacher-0", "Wavelet gates, both": f"{gated}-both-0"}
    folders["Gates told the noise level, both"] = f"{noise_gated}-both-none-0"
    assert measured.keys() == folders.keys()
    for row, folder in folders.items():
        evaluation = json.loads((home / "runs" / folder / "evaluation.json").read_text())
        assert measured[row] == evaluation["metrics"]["log_spectral_distance"]
    config = yaml.safe_load((home / f"runs/{gated}-both-0/config.yaml").read_text())
    assert config["distillation"]["teacher"].endswith(f"exp/{name}/teacher")
    assert config["network"]["resample"] == "wavelet"
    assert from_pretrained(home / f"runs/{noise_gated}-both-none-0").network.config["gates_see_noise"]
    report = (home / "report.html").read_text()
    assert "the same number of steps" in report
    for title in ("Filters of teacher", f"Gates of {gated}-both-0", "differences of their spectra"):
        assert title in report


def test_a_given_teacher_is_not_trained_and_what_is_done_is_skipped(tmp_path):
    arguments = ["--data", pictures(tmp_path / "source"), *LOOK, "--students", "small_wavelet_unet"]
    code, out, error = run("distill_demo", "--fast", *arguments, "--stop-stage", "2", cwd=tmp_path)
    assert code == 0 and "trainer.max_steps=700" in out, error[-3000:]
    teacher = tmp_path / "exp/distill_demo-fast/teacher"
    arguments += ["--teacher", teacher, "--kinds", "none,spatial", "--stop-stage", "3"]
    for skipped in (0, 2):
        code, out, error = run("distill_demo", *arguments, cwd=tmp_path)
        assert code == 0 and "train-teacher" not in out, error[-3000:]
        assert out.count("done before, skipped") == skipped
    for kind in ("none", "spatial"):
        student = from_pretrained(tmp_path / f"exp/distill_demo/runs/small_wavelet_unet-{kind}-0")
        assert student.network.config["channel_mult"] == [2, 2]


@pytest.mark.parametrize("name", ["distill_demo", "distill_speech"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "with --data PATH"),
        (["--teacher", "nowhere"], "--teacher nowhere: no such run or folder."),
        (["--fast", "--num", "many"], "--num must be a whole number, not 'many'."),
        (["--strengths", "weighted"], "unknown option --strengths"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, name, arguments, message):
    code, _, error = run(name, *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
