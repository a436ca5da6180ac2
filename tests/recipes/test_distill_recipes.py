"""The recipes of students from data to tables, with tiny networks and few steps."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmspec import from_pretrained
from recipes.common import teaching
from tests.recipe_runs import run

LOOK = ["--seeds", "0,1", "--num", 4, "--steps", 1, "--sampling", 2, "--kinds", "frequency,both"]
LOOK += [
    "--results",
    "results",
    "trainer.batch_size=4",
    "trainer.max_steps=1",
    "trainer.tensorboard=false",
    "network.model_channels=4",
]
LOOK += ["network.channel_mult=[2,2]", "network.attention_levels=[]"]
ARMS = ("before", "none", "placebo_of_frequency", "placebo_of_both", "frequency", "both")


def pictures(folder, count=300):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(folder / f"{index}.png")
    return folder


def recordings(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(42):
        soundfile.write(folder / f"{index}_ann_{index % 10}.wav", 0.1 * rng.standard_normal(5000), 8000)
    return folder


def knowing(octaves, unit="cycles/image"):
    """As mmspec diagnose prints it, of a teacher that knows more in these octaves, down from the highest."""
    error = {"decibels": [0.1, -2.0], "low": [-0.2, -2.5], "high": [0.4, -1.5]}
    teacher = {"octaves": [0.0, 8.0, 16.0], "error_db": error, "distillation.octaves": octaves}
    return json.dumps({"unit": unit, "teacher": teacher})


@pytest.mark.parametrize(
    ("name", "data", "student"),
    [("distill_demo", pictures, "small_wavelet_unet"), ("distill_speech", recordings, "small_wavelet_unet_1d")],
)
def test_a_student_is_taught_where_its_teacher_knows_more(tmp_path, name, data, student):
    arguments = ["--data", data(tmp_path / "source"), "--students", student, *LOOK]
    code, _, error = run(name, *arguments, "--stop-stage", 3, cwd=tmp_path)
    assert code == 0, error[-3000:]
    home, results = tmp_path / "exp" / name, tmp_path / "results" / student
    assert from_pretrained(home / student).network.config["resample"] == "wavelet"
    found = json.loads((home / f"teaching-{student}.json").read_text())
    assert len(found["teacher"]["octaves"]) == 1 + len(found["teacher"]["error_db"]["decibels"])

    (home / f"teaching-{student}.json").write_text(knowing([]))
    code, _, error = run(name, *arguments, "--stage", 4, cwd=tmp_path)
    assert code == 0 and "errs less by 0.5 dB or more in no octave, so there is nothing to learn" in error
    assert not (home / f"arms-{student}").exists()

    (home / f"teaching-{student}.json").write_text(knowing([1, 2]))
    code, _, error = run(name, *arguments, "--stage", 4, cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert {file.stem for file in results.glob("*-*.json")} == {f"{arm}-{seed}" for arm in ARMS for seed in (0, 1)}
    taught = json.loads((results / "trial.json").read_text())["arms"]["both"]["distillation"]
    assert (taught["spatial"], taught["frequency"], taught["octaves"]) == (0.1, 0.1, [1, 2])
    assert taught["teacher"].endswith(f"exp/{name}/teacher")
    page = (results / "results.md").read_text()
    assert all(f"| {treatment} " in page for treatment in ("train_on", "frequency", "both"))


def test_a_given_teacher_is_not_trained_and_what_is_done_is_skipped(tmp_path):
    arguments = ["--data", pictures(tmp_path / "source"), "--students", "small_unet", *LOOK, "--stop-stage", 2]
    code, out, error = run("distill_demo", "--fast", *arguments, cwd=tmp_path)
    assert code == 0 and "trainer.max_steps=300" in out and "trainer.max_steps=200" in out, error[-3000:]
    teacher = tmp_path / "exp/distill_demo-fast/teacher"
    for skipped in (0, 2):
        code, out, error = run("distill_demo", *arguments, "--teacher", teacher, cwd=tmp_path)
        assert code == 0 and "train-teacher" not in out, error[-3000:]
        assert out.count("done before, skipped") == skipped


def test_too_few_signals_are_told_before_a_teacher_is_trained(tmp_path):
    code, _, error = run("distill_demo", "--data", pictures(tmp_path / "source", 60), "--stop-stage", 1, cwd=tmp_path)
    assert code == 2 and "signals are held out, 20 are needed to diagnose, hundreds are better: give more." in error


def test_octaves_are_said_and_kept(tmp_path, capsys):
    (tmp_path / "look.json").write_text(knowing([1]))
    assert teaching.main([str(tmp_path / "look.json"), str(tmp_path / "unet")]) == 0
    printed = capsys.readouterr()
    assert printed.out == "1\n"
    assert printed.err.splitlines() == [
        "unet: error of the teacher over that of the student, by octave (below 0 where it errs less)",
        "0 to 8 cycles/image: +0.10 [-0.20, +0.40] dB",
        "8 to 16 cycles/image: -2.00 [-2.50, -1.50] dB, taught",
    ]
    assert json.loads((tmp_path / "unet/teaching.json").read_text())["distillation.octaves"] == [1]
    (tmp_path / "look.json").write_text(json.dumps({"teacher": None}))
    assert teaching.main([str(tmp_path / "look.json"), str(tmp_path / "unet")]) == 2
    assert "is of no teacher: run stage 3 again." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["distill_demo", "distill_speech"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "with --data PATH"),
        (["--data", "."], "--kinds haar: expected some of spatial, frequency, both."),
        (["--teacher", "nowhere", "--data", "."], "--teacher nowhere: no such run or folder."),
        (["--fast", "--num", "many"], "--num must be a whole number, not 'many'."),
        (["--steps", "x"], "--steps must be a whole number, not 'x'."),
        (["--seeds", "0,b"], "--seeds must be whole numbers, such as 0,1,2, not '0,b'."),
        (["--seeds", "0", "--data", "."], "--seeds 0: one seed is too few for an interval, give 2 or better 5."),
        (["--students", "nope", "--data", "."], "network=nope is unknown"),
        (["--strengths", "weighted"], "unknown option --strengths"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, name, arguments, message):
    if "--kinds" in message:
        arguments = [*arguments, "--kinds", "spatial,haar"]
    code, _, error = run(name, *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
