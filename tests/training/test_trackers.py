"""Trackers are told scalars, pictures and sound; the training writes, the trackers' own readers read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng, home = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    known = {"source": "noise", "statistics": {"mean": 0.0, "std": 0.1, "sigma_data": 0.1}}
    clips = (3000 * rng.standard_normal((8, 512))).astype(np.int16)
    write_packed(home / "sound", clips, meta=DatasetMeta(modality="audio", sample_rate=4000, **known))
    pixels = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    write_packed(home / "pictures", pixels, meta=DatasetMeta(modality="image", **known))
    return home


def words(data, kind, run, *more):
    network = "wavelet_unet_1d" if kind == "sound" else "wavelet_unet"
    tiny = [
        "network.model_channels=8",
        "network.channel_mult=[1,1]",
        "network.num_blocks=1",
        "network.attention_levels=[]",
        "preview.num=5",
    ]
    once = ["trainer.max_steps=2", "trainer.batch_size=2", "trainer.sample_every=2", "trainer.log_every=1"]
    cpu = ["preview.steps=1", "trainer.device=cpu", *more]
    return ["train", f"run_dir={run}", f"data.train={data / kind}", f"network={network}", *tiny, *once, *cpu]


def tracked(data, kind, folder, tracker, **environment):
    """Train in a process of its own, as trackers keep threads and settings; returns what it said."""
    run = folder / "run"
    command = [sys.executable, "-m", "mmspec", *words(data, kind, run, "trainer.tensorboard=false")]
    own = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, f"trainer.trackers=[{tracker}]"],
        env={**os.environ, **own, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "tracking stopped" not in result.stderr
    return run


@pytest.mark.parametrize("kind", ["sound", "pictures"])
def test_tensorboard_holds_scalars_pictures_and_sound(data, kind, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert main(words(data, kind, tmp_path / "run", "trainer.tensorboard=true")) == 0
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    assert {event.step for event in events.Scalars("train/loss")} == {1, 2}
    (image,) = events.Images("samples")
    assert image.step == 2 and image.width > 16
    sounds = events.Tags()["audio"]
    assert sounds == ([f"samples/{i}" for i in range(4)] if kind == "sound" else [])
    for name in sounds:
        (clip,) = events.Audio(name)
        assert clip.sample_rate == 4000 and clip.length_frames == 512


def test_wandb_keeps_them_offline(data, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    run = tracked(data, "sound", tmp_path, "wandb", WANDB_MODE="offline")
    (kept,) = (run / "wandb").glob("offline-run-*")
    assert list(kept.glob("files/media/images/*.png")) or list(kept.rglob("*.png"))
    assert len(list(kept.rglob("*.wav"))) == 4 and list(kept.glob("*.wandb"))


def test_mlflow_keeps_them(data, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    tracked(data, "sound", tmp_path, "mlflow", MLFLOW_TRACKING_URI=store)
    client = mlflow.MlflowClient(tracking_uri=store)
    (run,) = client.search_runs([client.get_experiment_by_name("mmspec").experiment_id])
    assert run.info.run_name == "run"
    assert {point.step for point in client.get_metric_history(run.info.run_id, "train/loss")} == {1, 2}
    artifacts = {
        Path(file.path).suffix
        for each in ("samples", "images")
        for file in client.list_artifacts(run.info.run_id, each)
    }
    assert {".wav", ".png"} <= artifacts


def test_a_tracker_that_is_not_installed_is_named(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    assert main(words(data, "pictures", tmp_path / "run", "trainer.tensorboard=false", "trainer.trackers=[wandb]")) == 2
    assert "pip install 'mmspec[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(words(data, "pictures", tmp_path / "run", "trainer.trackers=[weights]")) == 2
    assert json.dumps("weights")[1:-1] in capsys.readouterr().err
