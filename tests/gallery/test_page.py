"""The gallery's page, driven by clicks and keys in jsdom; JSDOM_FOLDER is where `npm install jsdom` was run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gallery.test_gallery import clips, make_run, pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What tests/gallery/drive.mjs prints of a run with 100 pictures, and of sound."""
    node, jsdom = shutil.which("node"), os.environ.get("JSDOM_FOLDER")
    if node is None or jsdom is None:
        pytest.skip("node or jsdom is not here: npm install jsdom, and give its folder as JSDOM_FOLDER")
    home = tmp_path_factory.mktemp("runs")
    pictures(make_run(home / "run") / "samples/final", count=100)
    clips(home / "sound", [900, 500])
    command = [sys.executable, "-m", "mmspec", "gallery", str(home / "run"), str(home / "sound"), "port=0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[0]
        drive = [node, str(Path(__file__).with_name("drive.mjs")), address]
        result = subprocess.run(drive, capture_output=True, text=True, check=False, timeout=120)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_nothing_fails_and_everything_loads(seen):
    assert seen["errors"] == [] and seen["status"] == "" and seen["alts"]
    for name in ("loaded", "largeLoaded", "previews", "drawn"):
        assert seen[name] and set(seen[name]) == {200}, name


def test_sets_stand_side_by_side_and_are_paged_by_keys(seen):
    assert seen["runs"] == ["run", "sound"] and seen["sections"] == ["run", "sound"]
    assert seen["cells"] == 48 + 2 and seen["labels"] == ["#0 cat", "#1 <b>dog</b>"]
    assert seen["players"][1].startswith("api/runs/1/sets/sound/1/sound.wav")
    assert "/0/thumbnail.png" in seen["first"][0] and "/48/thumbnail.png" in seen["second"]
    assert seen["without"] == ["run"]


def test_one_sample_is_compared_large_side_by_side_or_in_turn(seen):
    assert [path.split("?")[0][-11:] for path in seen["large"]] == ["1/whole.png"] * 2
    assert len(seen["next"]) == 1 and "/2/whole.png" in seen["next"][0]  # there are two sounds
    assert seen["inTurn"] == [True, False] and seen["afterSpace"] == [False, True]


def test_steps_of_training_and_curves_are_reached_by_keys(seen):
    assert seen["steps"] == ["step 20", "step 20"] and seen["earlier"] == ["step 10", "step 10"]
    assert seen["curves"] == ["Training loss by noise level", "Training loss"] and seen["help"]
