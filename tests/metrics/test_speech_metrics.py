import json
import sys

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import torch
from omegaconf import OmegaConf

from mmspec.commands import evaluate
from mmspec.config import CONF
from mmspec.errors import InputError
from tests.packed import write_clips, write_pictures


def voices(count, rate, seconds=1.2, seed=0):
    """Noise through a moving formant, in syllables: speech enough for PESQ and STOI."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    syllables = 0.02 + np.clip(np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6, (count, 1))), 0, None)
    noise = rng.normal(size=(count, len(t)))
    formant = scipy.signal.sosfilt(scipy.signal.butter(2, [300, 1500], "band", fs=rate, output="sos"), noise)
    return 0.2 * syllables * formant / formant.std()


def noisy(clips, level, seed=5):
    return clips + level * np.random.default_rng(seed).normal(size=clips.shape)


def stored(clips):
    return np.rint(clips * 32767) / 32768


def evaluated(tmp_path, **keys):
    keys["extractors"] = {"cache": None, **keys.get("extractors", {})}
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    evaluate.run(OmegaConf.merge(defaults, {"out": str(tmp_path / "evaluation.json"), **keys}))
    return json.loads((tmp_path / "evaluation.json").read_text())


def evaluated_pairs(tmp_path, real, fake, rate, lengths=None, **keys):
    real = str(write_clips(tmp_path / "real", real, rate, lengths))
    fake = str(write_clips(tmp_path / "fake", fake, rate))
    return evaluated(tmp_path, reference=real, samples=fake, paired=real, **keys)


def test_mr_stft_of_pairs_equals_auraloss_clip_by_clip(tmp_path):
    auraloss = pytest.importorskip("auraloss")
    real = voices(4, 8000)
    fake = noisy(real, 0.02)
    result = evaluated_pairs(tmp_path, real, fake, 8000)
    loss = auraloss.freq.MultiResolutionSTFTLoss((1024, 2048, 512), (120, 240, 50), (600, 1200, 240))
    pairs = zip(*(torch.from_numpy(stored(x)).float()[:, None, None] for x in (fake, real)), strict=True)
    expected = np.mean([loss(*pair).item() for pair in pairs])
    assert result["metrics"]["mr_stft"] == pytest.approx(expected, rel=1e-4)
    assert "4 pairs" in result["definitions"]["mr_stft"] and "1024, 2048, 512" in result["definitions"]["mr_stft"]
    assert "pesq" not in result["metrics"]


def test_padding_does_not_count(tmp_path):
    real, lengths = voices(3, 8000), np.array([5000, 8000, 9600])
    fake = noisy(real, 0.02)
    whole = evaluated_pairs(tmp_path, real, fake, 8000, lengths)["metrics"]["mr_stft"]
    for clip, length in zip(fake, lengths, strict=True):
        clip[length:] = 0.5
    assert evaluated_pairs(tmp_path, real, fake, 8000, lengths)["metrics"]["mr_stft"] == whole


def test_identical_pairs_have_the_best_scores(tmp_path):
    pytest.importorskip("pesq", reason="the extra eval-speech is not installed")
    for rate, best, norm in ((8000, 4.549, "P.862, narrow band"), (16000, 4.644, "P.862.2, wide band")):
        real = voices(3, rate)
        result = evaluated_pairs(tmp_path, real, real, rate, perceptual=True)
        assert result["metrics"]["mr_stft"] == 0
        assert result["metrics"]["pesq"] == pytest.approx(best, abs=1e-3)
        assert result["metrics"]["stoi"] == pytest.approx(1, abs=1e-6)
        assert norm in result["definitions"]["pesq"] and f"mono at {rate} Hz" in result["definitions"]["pesq"]
        assert f"resampled from {rate} to 10000 Hz" in result["definitions"]["stoi"]


def test_pesq_and_stoi_are_means_over_pairs_at_their_rates(tmp_path):
    pesq = pytest.importorskip("pesq", reason="the extra eval-speech is not installed").pesq
    stoi = pytest.importorskip("pystoi", reason="the extra eval-speech is not installed").stoi
    real = voices(3, 22050)
    fake = noisy(real, 0.03)
    result = evaluated_pairs(tmp_path, real, fake, 22050, perceptual=True)
    pairs = list(zip(stored(real), stored(fake), strict=True))
    assert result["metrics"]["stoi"] == pytest.approx(np.mean([stoi(*pair, 22050) for pair in pairs]), abs=1e-4)
    at_16k = [[scipy.signal.resample_poly(x, 320, 441) for x in pair] for pair in pairs]
    expected = np.mean([pesq(16000, *pair, "wb") for pair in at_16k])
    assert result["metrics"]["pesq"] == pytest.approx(expected, abs=0.05)
    assert "resampled from 22050 to 16000 Hz" in result["definitions"]["pesq"]


def test_pairs_without_speech_are_left_out_and_said(tmp_path):
    pytest.importorskip("pesq", reason="the extra eval-speech is not installed")
    real = voices(4, 8000)
    real[1] = 0
    keys = {"perceptual": True, "lengths": np.array([9600, 9600, 1500, 9600])}
    result = evaluated_pairs(tmp_path, real, real, 8000, **keys)
    assert result["metrics"]["pesq"] == pytest.approx(4.549, abs=1e-3)
    assert "2 pairs" in result["definitions"]["pesq"]
    assert "2 of 4 pairs are too short or hold no speech for pesq." in result["warnings"]
    assert "1 of 4 pairs are too short or hold no speech for stoi." in result["warnings"]


def test_a_missing_extra_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(InputError, match=r"^perceptual=true needs .*: pip install 'mmspec\[eval-speech\]'\.$"):
        evaluated_pairs(tmp_path, voices(3, 8000), voices(3, 8000), 8000, perceptual=True)


def test_sets_that_are_no_pairs_are_refused(tmp_path):
    clips = voices(3, 8000)
    real = str(write_clips(tmp_path / "real", clips, 8000))
    keys = {"reference": real, "samples": real}
    for name, other in (("count", clips[:2]), ("shape", clips[:, :8000])):
        paired = str(write_clips(tmp_path / name, other, 8000))
        with pytest.raises(InputError, match=f"paired=.*{name} has {name} .* must belong to the n-th"):
            evaluated(tmp_path, paired=paired, **keys)
    with pytest.raises(InputError, match="give paired=FOLDER"):
        evaluated(tmp_path, perceptual=True, **keys)
    pictures = str(write_pictures(tmp_path / "pictures", np.zeros((3, 8, 8, 3)) + 5))
    with pytest.raises(InputError, match="holds pictures"):
        evaluated(tmp_path, paired=pictures, **keys)


class Frames(torch.nn.Module):
    """An embedder: magnitudes in four bands up to 3 kHz of each of three frames of a clip at 16 kHz."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = x[:, :19200].unflatten(1, [3, 6400])
        return torch.fft.rfft(frames).abs()[..., :1200].unflatten(2, [4, 300]).mean(3)


class Loudness(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 + x.square().mean(1).sqrt()


def save_trace(module, path):
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(module), path)
    return str(path)


def test_fad_equals_scipys_on_the_frames_of_resampled_clips(tmp_path):
    real, fake = voices(40, 8000), noisy(voices(30, 8000, seed=1), 0.02)
    result = evaluated(
        tmp_path,
        reference=str(write_clips(tmp_path / "real", real, 8000)),
        samples=str(write_clips(tmp_path / "fake", fake, 8000)),
        extractors={"fad": save_trace(Frames(), tmp_path / "vggish.pt")},
    )
    sets = []
    for clips in (real, fake):
        at_16k = scipy.signal.resample_poly(stored(clips), 2, 1, axis=1)
        spectra = np.abs(np.fft.rfft(at_16k.reshape(-1, 3, 6400)))[..., :1200]
        sets.append(spectra.reshape(-1, 4, 300).mean(2))
    means, covariances = zip(*((x.mean(0), np.cov(x, rowvar=False)) for x in sets), strict=True)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(means[0] - means[1]).sum() + np.trace(sum(covariances) - 2 * root)
    assert result["metrics"]["fad"] == pytest.approx(expected, rel=0.01)
    definition = result["definitions"]["fad"]
    for part in ("4-dimensional", "vggish.pt", "from 8000 to 16000 Hz", "90 generated, 120 real embeddings"):
        assert part in definition
    assert "kad" in result["metrics"] and not any("fad" in warning for warning in result["warnings"])


def test_few_embeddings_are_said(tmp_path):
    real = str(write_clips(tmp_path / "real", voices(2, 16000, 1.0), 16000))

    class Wide(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :64]

    network = save_trace(Wide(), tmp_path / "wide.pt")
    result = evaluated(tmp_path, reference=real, samples=real, extractors={"fad": network})
    assert any("too few for fad over 64 dimensions" in text and "kad" in text for text in result["warnings"])


def test_utmos_is_the_mean_score_of_the_generated_clips(tmp_path):
    real, fake = np.full((70, 800), 0.5), np.full((80, 800), 0.25)
    result = evaluated(
        tmp_path,
        reference=str(write_clips(tmp_path / "real", real, 16000)),
        samples=str(write_clips(tmp_path / "fake", fake, 16000)),
        extractors={"utmos": save_trace(Loudness(), tmp_path / "utmos.pt")},
    )
    assert result["metrics"]["utmos"] == pytest.approx(1.25, abs=1e-4)
    for part in ("80 generated", "70 real ones score 1.50", "mono at 16000 Hz"):
        assert part in result["definitions"]["utmos"]
    assert result["better"]["utmos"] == "higher"


def test_networks_that_return_something_else_are_refused(tmp_path):
    class Whole(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum()

    real = str(write_clips(tmp_path / "real", voices(3, 8000), 8000))
    whole, frames = save_trace(Whole(), tmp_path / "whole.pt"), save_trace(Frames(), tmp_path / "frames.pt")
    with pytest.raises(InputError, match=r"extractors.fad=.*whole.pt must return .* it returned \[\]"):
        evaluated(tmp_path, reference=real, samples=real, extractors={"fad": whole})
    with pytest.raises(InputError, match=r"extractors.utmos=.*one score a clip, it returned 4"):
        evaluated(tmp_path, reference=real, samples=real, extractors={"utmos": frames})
    pictures = str(write_pictures(tmp_path / "pictures", np.random.default_rng(0).integers(0, 255, (70, 8, 8, 3))))
    with pytest.raises(InputError, match=r"extractors.fad is for audio"):
        evaluated(tmp_path, reference=pictures, samples=pictures, extractors={"fad": frames})
