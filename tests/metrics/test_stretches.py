"""Recordings of different lengths are compared by their sound, never by the silence behind it."""

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from mmspec.commands import evaluate
from mmspec.config import CONF
from mmspec.errors import InputError
from mmspec.metrics.spectrum import MeanSpectrum
from tests.packed import write_clips, write_pictures

RATE, CROP = 8000, 1000
LENGTHS = np.random.default_rng(0).integers(1000, 9000, 60)


def speech(seed, level=0.1):
    """Noise of a colour, each recording in its length, zeros behind it."""
    noise = np.random.default_rng(seed).standard_normal((60, 9000))
    noise = level * (noise + np.roll(noise, 1, 1))
    noise[np.arange(9000) >= LENGTHS[:, None]] = 0
    return noise


def evaluated(tmp_path, **keys):
    keys["extractors"] = {"cache": None, **keys.get("extractors", {})}
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    evaluate.run(OmegaConf.merge(defaults, {"out": str(tmp_path / "evaluation.json"), **keys}))
    return json.loads((tmp_path / "evaluation.json").read_text())


def test_a_set_of_short_clips_is_compared_with_stretches_of_recordings(tmp_path):
    real = speech(0)
    reference = str(write_clips(tmp_path / "real", real, RATE, LENGTHS))
    samples = str(write_clips(tmp_path / "fake", speech(1)[:, :CROP], RATE))
    with pytest.raises(InputError, match=r"has shape \(1, 1000\) but .* has \(1, 9000\)"):
        evaluated(tmp_path, reference=reference, samples=samples)
    result = evaluated(tmp_path, reference=reference, samples=samples, crop=CROP)
    stretches = [x[i : i + CROP] for x, n in zip(real, LENGTHS, strict=True) for i in range(0, n - CROP + 1, CROP)]
    expected = MeanSpectrum(RATE)
    expected.update(torch.from_numpy(np.rint(np.array(stretches) * 32767) / 32768).float()[:, None])
    np.testing.assert_allclose(result["spectrum"]["real"], expected.result().power, rtol=1e-4)
    for name in ("log_spectral_distance", "frechet_log_mel"):
        assert f"60 generated, {len(stretches)} real" in result["definitions"][name]
        assert "stretches of 1,000 samples, side by side" in result["definitions"][name]
    assert result["metrics"]["log_spectral_distance"] < 0.5  # 2.5 dB less if silence counted


def test_bins_of_stretches_tell_sounds_apart_and_not_lengths(tmp_path):
    reference = str(write_clips(tmp_path / "real", speech(0), RATE, LENGTHS))
    alike = str(write_clips(tmp_path / "alike", speech(1), RATE, LENGTHS))
    other = str(write_clips(tmp_path / "other", speech(1, level=0.02), RATE, LENGTHS))
    found = [evaluated(tmp_path, reference=reference, samples=s, crop=CROP, ndb_bins=5) for s in (alike, other)]
    assert found[0]["metrics"]["ndb"] <= 0.4 < found[1]["metrics"]["ndb"]
    assert "side by side" in found[0]["definitions"]["ndb"]


class Loudness(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square().mean(1).sqrt()


def test_networks_hear_whole_recordings_without_the_silence_behind_them(tmp_path):
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(Loudness()), tmp_path / "utmos.pt")
    sound = np.where(np.arange(9000) < LENGTHS[:, None], 0.5, 0)
    reference = str(write_clips(tmp_path / "real", sound, RATE, LENGTHS))
    cut = {"reference": reference, "samples": reference, "crop": CROP}
    network = {"utmos": str(tmp_path / "utmos.pt"), "sample_rate": RATE, "cache": str(tmp_path / "cache")}
    result = evaluated(tmp_path, **cut, extractors=network)
    assert result["metrics"]["utmos"] == pytest.approx(0.5, abs=1e-4)
    assert "side by side" not in result["definitions"]["utmos"]
    padded = str(write_clips(tmp_path / "padded", sound, RATE))  # says nothing of lengths: then both keep their silence
    result = evaluated(tmp_path, reference=reference, samples=padded, crop=CROP, extractors=network)
    expected = np.mean(0.5 * np.sqrt(LENGTHS / 9000))
    assert result["metrics"]["utmos"] == pytest.approx(expected, abs=1e-4)
    assert f"real ones score {expected:.2f}" in result["definitions"]["utmos"]


def test_pictures_have_no_stretches(tmp_path):
    pictures = str(write_pictures(tmp_path / "pictures", np.random.default_rng(0).integers(0, 255, (9, 8, 8, 3))))
    with pytest.raises(InputError, match="only sound is cropped: leave crop out"):
        evaluated(tmp_path, reference=pictures, samples=pictures, crop=4)
