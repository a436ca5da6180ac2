"""``mmspec calibrate`` and ``mmspec sample correction=FILE``: what fits is used, what does not is refused."""

import json

import numpy as np
import pytest
import torch

from mmspec.cli import main
from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.processes import EDM
from mmspec.experiment.correction_file import CalibratedFor, read_correction
from mmspec.experiment.sources import weights_sha256
from mmspec.networks import UNet
from tests.packed import write_clips, write_pictures

NOISE = np.random.default_rng(0)


def saved(folder, seed=0, dims=2, **options):
    torch.manual_seed(seed)
    network = UNet(dims, 1, model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=(), **options)
    for parameter in network.parameters():  # an untrained one ends in zeros, and is no worse than it must be
        torch.nn.init.normal_(parameter, std=0.2)
    rate = 8000 if dims == 1 else None
    Denoiser(network, EDM(), (1, 9, 8) if dims == 2 else (1, 64), rate).save_pretrained(folder)
    return folder


def pictures(folder, count=40, size=(9, 8), seed=0):
    return write_pictures(folder, np.random.default_rng(seed).integers(0, 256, (count, *size, 1)))


def calibrate(*overrides):
    return main(["calibrate", "levels=3", "device=cpu", *map(str, overrides)])


@pytest.fixture
def calibrated(tmp_path):
    """A denoiser, and its correction."""
    source, out = saved(tmp_path / "denoiser"), tmp_path / "gains.json"
    assert calibrate(f"from={source}", f"data={pictures(tmp_path / 'data')}", f"out={out}") == 0
    return source, out


def draw(source, correction, out, *overrides):
    return main(["sample", f"from={source}", f"out={out}", f"correction={correction}", "num=3", "steps=3", *overrides])


def test_a_correction_comes_back_as_it_was_and_samples_have_it(calibrated, tmp_path):
    source, file = calibrated
    denoiser = Denoiser.from_pretrained(source)
    correction = read_correction(file, CalibratedFor.of(denoiser, weights_sha256(source), None))
    content = json.loads(file.read_text())
    assert correction == Correction(
        tuple(content["correction"]["sigmas"]), tuple(map(tuple, content["correction"]["gains"]))
    )
    assert content["signals"] == 40
    assert content["data"] == PackedDataset(tmp_path / "data").meta.sha256
    assert draw(source, file, tmp_path / "samples") == 0
    expected = sample(denoiser, (3, 1, 9, 8), steps=3, correction=correction, generator=seeded(range(3)))
    found = PackedDataset(tmp_path / "samples").batch(range(3))[0]
    torch.testing.assert_close(found, expected.clamp(-1, 1), atol=1 / 127, rtol=0)
    assert json.loads((tmp_path / "samples" / "sample.json").read_text())["correction"] == str(file)


def test_sound_is_corrected_too(tmp_path):
    source = saved(tmp_path / "denoiser", dims=1)
    clips = write_clips(tmp_path / "data", NOISE.uniform(-1, 1, (40, 64)), 8000)
    assert calibrate(f"from={source}", f"data={clips}", f"out={tmp_path / 'gains.json'}") == 0
    assert draw(source, tmp_path / "gains.json", tmp_path / "samples", "sampler=euler") == 0


def test_a_correction_of_another_denoiser_or_guidance_is_refused(calibrated, tmp_path, capsys):
    source, file = calibrated
    assert draw(saved(tmp_path / "other", seed=1), file, tmp_path / "samples") == 2
    assert "was calibrated for weights of SHA-256" in capsys.readouterr().err
    content = json.loads(file.read_text())
    for name, value, said in (("guidance", 2.0, "guidance 2.0, not None"), ("shape", [1, 8, 8], "shape (1, 8, 8)")):
        content["calibrated_for"][name] = value
        (tmp_path / "changed.json").write_text(json.dumps(content))
        assert draw(source, tmp_path / "changed.json", tmp_path / "samples") == 2
        assert said in capsys.readouterr().err
        content = json.loads(file.read_text())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["correction"]["gains"].pop(), "gains must be a list for each of the sigmas"),
        (lambda c: c["correction"]["gains"][0].__setitem__(0, "loud"), "gains takes"),
        (lambda c: c["correction"]["gains"][0].__setitem__(0, 7.0), "from 0 to 2"),
        (lambda c: c.pop("correction"), "correction is missing"),
        (lambda c: c.update(format="mmspec-correction-9"), "format takes"),
        (lambda c: c.update(loudness=1), "loudness is no option"),
    ],
)
def test_a_damaged_correction_is_one_sentence(calibrated, tmp_path, capsys, change, said):
    source, file = calibrated
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    assert draw(source, file, tmp_path / "samples") == 2
    error = capsys.readouterr().err
    assert said in error
    assert str(file) in error
    assert error.count("\n") == 1


def test_half_a_file_is_one_sentence(calibrated, tmp_path, capsys):
    source, file = calibrated
    file.write_text(file.read_text()[:100])
    assert draw(source, file, tmp_path / "samples") == 2
    assert "is not JSON" in capsys.readouterr().err


def test_signals_that_were_trained_on_are_refused_and_flat_ones_are_nobodys(tmp_path, capsys):
    source, out = saved(tmp_path / "denoiser"), tmp_path / "gains.json"
    others = np.random.default_rng(1234)
    held_out = pictures(tmp_path / "data")
    pixels = np.concatenate([PackedDataset(held_out).data[5:7], others.integers(0, 256, (9, 9, 8, 1))])
    train = write_pictures(tmp_path / "train", pixels)
    assert calibrate(f"from={source}", f"data={held_out}", f"train={train}", f"out={out}") == 2
    assert "2 of the signals in" in capsys.readouterr().err
    assert not out.exists()
    flat, noise = np.full((3, 9, 8, 1), 255), others.integers(0, 256, (2, 40, 9, 8, 1))
    both = [write_pictures(tmp_path / f"{n}", np.concatenate([flat, noise[n]])) for n in (0, 1)]
    assert calibrate(f"from={source}", f"data={both[0]}", f"train={both[1]}", f"out={out}") == 0


def test_nothing_is_overwritten_and_what_does_not_serve_is_said(calibrated, tmp_path, capsys):
    source, file = calibrated
    before = file.read_bytes()
    assert calibrate(f"from={source}", f"data={tmp_path / 'data'}", f"out={file}") == 2
    assert "is there already" in capsys.readouterr().err
    assert file.read_bytes() == before
    out = f"out={tmp_path / 'new.json'}"
    for data, said in (
        (pictures(tmp_path / "few", 29), "29 signals are too few"),
        (pictures(tmp_path / "large", size=(12, 12)), "has signals [1, 12, 12]"),
        (write_clips(tmp_path / "sound", NOISE.uniform(-1, 1, (40, 64)), 8000), "8000 Hz"),
    ):
        assert calibrate(f"from={source}", f"data={data}", out) == 2
        assert said in capsys.readouterr().err
    assert calibrate(f"from={source}", f"data={tmp_path / 'data'}", "guidance=2", out) == 2
    assert "guidance=2 needs classes" in capsys.readouterr().err
    assert calibrate(f"from={source}", out) == 2
    assert "has no data.test" in capsys.readouterr().err
