"""Recipes from the first stage to the last, on recordings made here."""

import numpy as np
import pytest
import soundfile

from tests.recipe_runs import run

TINY = ["network.model_channels=8", "network.num_blocks=1", "network.attention_levels=[]", "trainer.batch_size=4"]


def recordings(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(24):
        soundfile.write(folder / f"{index % 3}_ann_{index}.wav", 0.1 * rng.standard_normal(5000), 8000)


def test_all_stages_run_and_the_second_time_skips_what_is_done(tmp_path):
    recordings(tmp_path / "source")
    arguments = ["--data", "source", "--num", 4, *TINY, "trainer.max_steps=2"]
    code, out, error = run("fsdd", *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert "skipped" not in out
    report = tmp_path / "exp/fsdd/report.html"
    assert report.stat().st_size > 10_000
    folders = [tmp_path / "exp/fsdd" / kind for kind in ("base", "none", "amplitude_phase")]
    times = [(folder / "checkpoints/step_00000002/COMPLETE").stat().st_mtime for folder in folders]
    assert all((folder / "evaluation.json").is_file() for folder in folders)
    code, out, error = run("fsdd", *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert out.count("done before, skipped") == 10
    assert [(folder / "checkpoints/step_00000002/COMPLETE").stat().st_mtime for folder in folders] == times
    assert str(report.relative_to(tmp_path)) in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stge", "1"], "unknown option --stge (see --help)."),
        (["--stage", "two"], "--stage must be a whole number, not 'two'."),
        (["--data", "/nowhere"], "--data /nowhere: no such file or folder."),
        (["steps"], "steps is neither an option nor key=value (see --help)."),
        ([], "give the recordings with --data PATH"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, arguments, message):
    code, _, error = run("fsdd", *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1


def test_help_prints_the_defaults(tmp_path):
    code, out, _ = run("fsdd", "--help", cwd=tmp_path)
    assert code == 0
    assert "0 fetch  1 prepare  2 train  3 regularize  4 sample  5 evaluate  6 report" in out
    assert "samples drawn from each model (default 256)" in out
