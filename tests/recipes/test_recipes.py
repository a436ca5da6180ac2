"""Recipes from the first stage to the last, on recordings made here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
TINY = ["network.model_channels=8", "network.num_blocks=1", "network.attention_levels=[]", "trainer.batch_size=4"]


def recipe(name, *arguments, cwd):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    command = [str(ROOT / f"recipes/{name}/run.sh"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def recordings(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(24):
        soundfile.write(folder / f"{index % 3}_ann_{index}.wav", 0.1 * rng.standard_normal(5000), 8000)


def test_all_stages_run_and_the_second_time_skips_what_is_done(tmp_path):
    recordings(tmp_path / "source")
    arguments = ["--data", "source", "--num", 4, *TINY, "trainer.max_steps=2"]
    first = recipe("fsdd", *arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr[-3000:]
    assert "skipped" not in first.stdout
    report = tmp_path / "exp/fsdd/report.html"
    assert report.stat().st_size > 10_000
    runs = [tmp_path / "exp/fsdd" / kind for kind in ("base", "none", "amplitude_phase")]
    times = [(run / "checkpoints/step_00000002/COMPLETE").stat().st_mtime for run in runs]
    assert all((run / "evaluation.json").is_file() for run in runs)
    second = recipe("fsdd", *arguments, cwd=tmp_path)
    assert second.returncode == 0, second.stderr[-3000:]
    assert second.stdout.count("done before, skipped") == 10
    assert [(run / "checkpoints/step_00000002/COMPLETE").stat().st_mtime for run in runs] == times
    assert str(report.relative_to(tmp_path)) in second.stdout


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
    result = recipe("fsdd", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_help_prints_the_defaults(tmp_path):
    result = recipe("demo", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "0 fetch  1 prepare  2 train  3 regularize  4 sample  5 evaluate  6 report" in result.stdout
    assert "samples drawn from each model (default 96)" in result.stdout
