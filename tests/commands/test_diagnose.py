"""What is said of tiny denoisers that never learnt anything, and what is refused."""

import json

import numpy as np
import pytest
import torch
import yaml

from mmspec.cli import main
from mmspec.data import PackedDataset
from mmspec.data.mel import LogMel
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.networks import AutoencoderTiny, DiffWave, UNet
from tests.packed import write_clips, write_pictures

TINY = {"model_channels": 8, "channel_mult": (1, 1), "num_blocks": 1, "attention_levels": ()}
QUICK = ["levels=3", "num=20", "samples=20", "steps=2"]


def network(dims, channels):
    torch.manual_seed(0)
    return UNet(dims=dims, in_channels=channels, out_channels=channels, resample="conv", **TINY)


def smooth(*shape):
    """Pictures whose spectrum falls, uint8."""
    steps = np.random.default_rng(0).standard_normal(shape).cumsum(1).cumsum(2)
    return (127 + 60 * steps / np.abs(steps).max((1, 2, 3), keepdims=True)).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    home = tmp_path_factory.mktemp("pictures")
    Denoiser(network(2, 3), EDM(), signal_shape=(3, 16, 16)).save_pretrained(home / "denoiser")
    return home / "denoiser", write_pictures(home / "data", smooth(24, 16, 16, 3))


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    home = tmp_path_factory.mktemp("latents")
    first_stage = AutoencoderTiny(channels=8, num_blocks=(1, 1), pooled=True)
    denoiser = Denoiser(
        network(2, first_stage.latent_shape((3, 32, 32))[0]), EDM(), (3, 32, 32), first_stage=first_stage
    )
    denoiser.save_pretrained(home / "denoiser")
    return home / "denoiser", write_pictures(home / "data", smooth(24, 32, 32, 3))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    home = tmp_path_factory.mktemp("sound")
    clips = 0.1 * np.random.default_rng(0).standard_normal((24, 700))
    Denoiser(network(1, 1), EDM(), signal_shape=(1, 512), sample_rate=4000).save_pretrained(home / "denoiser")
    return home / "denoiser", write_clips(home / "data", clips, 4000)


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory):
    home = tmp_path_factory.mktemp("vocoder")
    clips = 0.1 * np.random.default_rng(0).standard_normal((24, 3000))
    small = DiffWave(n_mels=80, residual_layers=2, residual_channels=8, dilation_cycle_length=2)
    Denoiser(small, EDM(), (1, 2048), 22050, conditioner=LogMel(22050)).save_pretrained(home / "denoiser")
    return home / "denoiser", write_clips(home / "data", clips, 22050, np.full(24, 2900))


def told(capsys, denoiser, data, out, *more):
    assert main(["diagnose", f"from={denoiser}", f"data={data}", f"out={out}", "format=json", *QUICK, *more]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", ["pictures", "sound", "latents", "vocoder"])
def test_an_untrained_denoiser_is_told_of(kind, request, tmp_path, capsys):
    denoiser, data = request.getfixturevalue(kind)
    found = told(capsys, denoiser, data, tmp_path / "page.html")
    assert found["verdict"].startswith(("Too noisy", "Dull"))
    assert {each["kind"] for each in found["findings"]} & {"noisy", "dull"}
    unit = {"pictures": "cycles per image", "latents": "cycles per latent"}.get(kind, "Hz")
    assert found["unit"] == unit
    assert found["counts"]["held_out"] == found["counts"]["samples"] == 20
    octaves = len(found["octaves"]) - 1
    for rows in (*found["bias_db"].values(), *found["over_wiener_db"].values(), found["loss_share"]):
        assert np.isfinite(rows).all() and np.shape(rows) == (3, octaves)
    assert np.sum(found["loss_share"]) == pytest.approx(1) and sum(found["drawn_share"]) == pytest.approx(1)
    assert (found["first_stage"] is None) == (found["decoded"] is None) == (kind != "latents")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == (7 if kind == "latents" else 5) and "http" not in page.replace("http-equiv", "")


def test_a_run_is_diagnosed_by_what_it_says_of_itself(pictures, tmp_path, capsys):
    denoiser, data = pictures
    run = tmp_path / "run"
    (run / "ema").mkdir(parents=True)
    for file in denoiser.iterdir():
        (run / "ema" / file.name).write_bytes(file.read_bytes())
    config = {"data": {"test": str(data)}, "process": {"noise": {"type": "LogNormal", "mean": 2.0, "std": 0.1}}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["diagnose", f"from={run}", *QUICK, "samples=0"]) == 0
    verdict, page = capsys.readouterr().out.splitlines()
    assert page == str(run / "diagnosis.html") and verdict.endswith(".")
    assert main(["diagnose", f"from={run}", *QUICK, "samples=0", "format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] is None
    assert 5 < found["sigmas"][0] < found["sigmas"][-1] < 10  # e^2 is 7.4


def test_what_it_was_trained_on_is_refused(pictures, tmp_path, capsys):
    denoiser, data = pictures
    run = tmp_path / "run"
    (run / "ema").mkdir(parents=True)
    for file in denoiser.iterdir():
        (run / "ema" / file.name).write_bytes(file.read_bytes())
    sha256 = PackedDataset(data).meta.sha256
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"train": "gone", "sha256": sha256}}))
    assert main(["diagnose", f"from={run}", f"data={data}", *QUICK]) == 2
    mend = "on them a denoiser looks better than it is, so give data=FOLDER, of others."
    assert f"{data} holds the signals that {run} was trained on: {mend}" in capsys.readouterr().err
    shared = PackedDataset(data)
    write_pictures(tmp_path / "train", shared.stored(np.arange(5)))
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"train": str(tmp_path / "train")}}))
    assert main(["diagnose", f"from={run}", f"data={data}", *QUICK]) == 2
    said = f"5 of the signals in {data} are in {tmp_path}/train, which was trained on: {mend}"
    assert said in capsys.readouterr().err


def pixels(count, *shape):
    return lambda folder: write_pictures(folder, smooth(count, *shape))


def clips(rate):
    return lambda folder: write_clips(folder, np.zeros((24, 512)), rate)


@pytest.mark.parametrize(
    ("kind", "made", "message"),
    [
        ("pictures", pixels(24, 16, 8, 3), "holds image signals [3, 16, 8], the denoiser is for [3, 16, 16]"),
        ("pictures", pixels(24, 16, 16, 1), "holds image signals [1, 16, 16], the denoiser is for [3, 16, 16]"),
        ("latents", pixels(24, 16, 16, 3), "the denoiser is for [3, 32, 32]"),
        ("pictures", pixels(19, 16, 16, 3), "holds 19 signals, too few for intervals: 20 are needed"),
        ("pictures", clips(4000), "holds sound at 4000 Hz, the denoiser is for pictures"),
        ("sound", clips(8000), "holds sound at 8000 Hz, the denoiser is for sound at 4000 Hz"),
    ],
)
def test_data_that_do_not_fit_are_refused(kind, made, message, request, tmp_path, capsys):
    denoiser, _ = request.getfixturevalue(kind)
    data = made(tmp_path / "data")
    assert main(["diagnose", f"from={denoiser}", f"data={data}", f"out={tmp_path}/page.html", *QUICK]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["num=19"], "num must be 20 or more, not 19"),
        (["samples=5"], "samples must be 20 or more, or 0 for none, not 5"),
        (["levels=1"], "levels must be 2 or more"),
        (["out=page.png"], "out must end with .html"),
        (["data=nowhere"], "nowhere is not there: make one"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message, pictures, tmp_path, capsys):
    out = [] if options[0].startswith("out") else [f"out={tmp_path}/page.html"]
    assert main(["diagnose", f"from={pictures[0]}", f"data={pictures[1]}", *out, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_denoiser_without_a_run_needs_a_place_and_data(pictures, tmp_path, capsys):
    assert main(["diagnose", f"from={pictures[0]}", f"data={pictures[1]}"]) == 2
    assert "is not a run: say with out=FILE.html where the page goes" in capsys.readouterr().err
    assert main(["diagnose", "from=exp/nothing", f"data={pictures[1]}"]) == 2
    assert "is not here: correct it, or, if the hub has it, say with out=FILE.html" in capsys.readouterr().err
    assert main(["diagnose", f"from={pictures[0]}", f"out={tmp_path}/page.html"]) == 2
    assert "has no data.test: give data=FOLDER" in capsys.readouterr().err
    (tmp_path / "page.html").write_text("mine")
    assert main(["diagnose", f"from={pictures[0]}", f"data={pictures[1]}", f"out={tmp_path}/page.html"]) == 2
    assert (tmp_path / "page.html").read_text() == "mine"
