"""Sets and pairs that a measure choked on, or judged wrongly in silence."""

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch.utils._python_dispatch import TorchDispatchMode

from mmspec.commands import evaluate
from mmspec.config import CONF
from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.metrics.diversity import different_bins, precision_recall
from mmspec.metrics.feature_distance import FeatureDistance
from mmspec.metrics.features import Extractor
from mmspec.metrics.frechet import frechet_distance, kernel_distance, kernel_distance_in_blocks, moments
from mmspec.metrics.signals import SignalSet
from mmspec.metrics.spectrum import SpectralDistance, mean_spectrum
from mmspec.metrics.speech import PESQ
from tests.packed import write_clips, write_pictures

RATE = 8000


class Largest(TorchDispatchMode):
    """Remembers how many values the largest tensor has."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.values = max(self.values, result.numel() if isinstance(result, torch.Tensor) else 0)
        return result


@pytest.mark.parametrize(("n", "m"), [(4500, 64), (64, 4500), (2049, 2048)])
def test_a_kernel_distance_never_holds_the_matrix_of_a_whole_set(n, m):
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(count, 3, generator=generator) + 1 for count in (n, m))
    with Largest() as largest:
        found = kernel_distance(real, generated)
        assert kernel_distance_in_blocks(real, generated, block=10**6) == pytest.approx(found, rel=1e-9)
    assert largest.values <= 2048**2
    a, b = real.double().numpy(), generated.double().numpy()

    def total(x, y):
        return sum((((row @ y.T) / 3 + 1) ** 3).sum() for row in np.array_split(x, 50))

    within = [(total(x, x) - ((x**2).sum(1) / 3 + 1).__pow__(3).sum()) / (len(x) * (len(x) - 1)) for x in (a, b)]
    assert found == pytest.approx(sum(within) - 2 * total(a, b) / (n * m), rel=1e-6)


def by_differences(real, generated, k=3):
    """From float64 differences of all pairs, in which no digits cancel."""
    real, generated = real.double().numpy(), generated.double().numpy()

    def share(points, manifold):
        among = np.linalg.norm(manifold[:, None] - manifold[None], axis=-1)
        radius = np.sort(among, axis=1)[:, k]
        return (np.linalg.norm(points[:, None] - manifold[None], axis=-1) <= radius).any(1).mean()

    return share(generated, real), share(real, generated)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
@pytest.mark.parametrize("modes", [1, 2])
def test_precision_and_recall_far_from_the_origin(offset, modes):
    generator = torch.Generator().manual_seed(0)
    apart = offset * torch.arange(300).remainder(modes)[:, None]
    real = torch.randn(300, 16, generator=generator) + offset + apart
    generated = 0.9 * torch.randn(300, 16, generator=generator) + 0.3 + offset + apart
    found = precision_recall(real, generated)
    assert found == by_differences(real, generated) and 0.3 < min(found) < max(found) < 1


def test_samples_that_repeat_real_ones_are_among_them():
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(5, 64, generator=generator) + 1000
    repeated = few.repeat(8, 1)  # balls of radius 0
    for rows in (1, 7, 1024):
        assert precision_recall(repeated, repeated.flip(0), rows=rows) == (1, 1)
        assert precision_recall(repeated, repeated + 1e-2, rows=rows) == (0, 0)


def speech(count, bursts, seed=0):
    """Bursts of 0.2 s with pauses of 0.4 s."""
    rng = np.random.default_rng(seed)
    burst = np.concatenate([np.ones(RATE // 5), np.zeros(2 * RATE // 5)])
    return rng.normal(0, 0.1, (count, bursts * len(burst))) * np.tile(burst, bursts)


def evaluated_pairs(tmp_path, real, fake, rate=RATE, lengths=None, **keys):
    real = str(write_clips(tmp_path / "real", real, rate, lengths))
    fake = str(write_clips(tmp_path / "fake", fake, rate))
    return evaluated(tmp_path, real, fake, **keys)


def evaluated(tmp_path, real, fake, perceptual=True):
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    keys = {"reference": real, "samples": fake, "paired": real, "perceptual": perceptual, "extractors": {"cache": None}}
    evaluate.run(OmegaConf.merge(defaults, keys, {"out": str(tmp_path / "evaluation.json")}))
    return json.loads((tmp_path / "evaluation.json").read_text())


@pytest.fixture
def scorers():
    return pytest.importorskip("pesq", reason="the extra eval-speech is not installed")


def noisy(clips):
    return clips + np.random.default_rng(5).normal(0, 0.01, clips.shape) * (clips != 0)


def stored(clips):
    return (np.rint(clips * 32767) / 32768).astype(np.float32)


def test_silence_on_one_side_is_a_missing_score(tmp_path, scorers):
    real = speech(4, 5)
    fake = noisy(real)
    real[1], fake[2] = 0, 0
    result = evaluated_pairs(tmp_path, real, fake)
    pairs = [(stored(real)[i], stored(fake)[i]) for i in (0, 3)]
    expected = np.mean([scorers.pesq(RATE, *pair, "nb") for pair in pairs])
    assert result["metrics"]["pesq"] == pytest.approx(expected, abs=1e-5)
    assert "2 of 4 pairs are too short or hold no speech for pesq." in result["warnings"]


@pytest.mark.parametrize("samples", [1, 40, 80, 100])
def test_clips_of_a_few_milliseconds_are_missing_scores(tmp_path, scorers, samples):
    real, lengths = speech(4, 5), np.array([24000, 24000, samples, 24000])
    result = evaluated_pairs(tmp_path, real, noisy(real), lengths=lengths)
    for name in ("mr_stft", "pesq", "stoi"):
        assert "mean of 3 pairs" in result["definitions"][name]
        assert any(
            text.startswith("1 of 4 pairs are too short") and f"for {name}." in text for text in result["warnings"]
        )


def test_a_clip_with_many_pauses_is_a_missing_score(tmp_path, scorers, monkeypatch):
    real, lengths = speech(3, 64), np.array([24000, 300000, 24000])
    fake = noisy(real)
    expected = np.mean([scorers.pesq(RATE, stored(real)[i, :24000], stored(fake)[i, :24000], "nb") for i in (0, 2)])
    result = evaluated_pairs(tmp_path, real, fake, lengths=lengths)
    assert result["metrics"]["pesq"] == pytest.approx(expected, abs=1e-5)
    assert "1 of 3 pairs have more than 50 utterances, too many for pesq." in result["warnings"]
    assert "mean of 3 pairs" in result["definitions"]["stoi"]
    monkeypatch.setattr(PESQ, "utterances", 1000)  # into the crash
    verdict = PESQ(RATE).compare(*(SignalSet(PackedDataset(tmp_path / name)) for name in ("real", "fake")))
    assert verdict.metrics[0].value == pytest.approx(expected, abs=1e-5)
    assert verdict.warnings == ["1 of 3 pairs crash the package for pesq."]


ODD = {  # real clips that leave no scale next to speech at 0.15
    "silence": lambda time: 0 * time,
    "dither": lambda time: np.random.default_rng(0).choice([-1, 0, 1], len(time)) / 32767,
    "constant": lambda time: 0 * time + 0.01,
    "hum": lambda time: 0.01 * np.sin(2 * np.pi * 50 * time),
    "click": lambda time: (np.arange(len(time)) == 500) * 0.5,
    "noise": lambda time: 1e-3 * np.random.default_rng(0).standard_normal(len(time)),
}


@pytest.mark.parametrize("name", ODD)
def test_a_silent_clip_does_not_own_the_stft_distance(tmp_path, name):
    real = 0.15 * speech(4, 5) / speech(4, 5).std()
    fake = noisy(real)
    real[1] = ODD[name](np.arange(real.shape[1]) / RATE)
    others = evaluated_pairs(tmp_path / "others", real[[0, 2, 3]], fake[[0, 2, 3]], perceptual=False)
    result = evaluated_pairs(tmp_path, real, fake, perceptual=False)
    assert result["metrics"]["mr_stft"] == pytest.approx(others["metrics"]["mr_stft"], rel=1e-6)
    said = "1 of 4 pairs have a real clip that is silent, or next to the others, which leaves no scale for mr_stft."
    assert said in result["warnings"] and not any("mr_stft" in text for text in others["warnings"])


def test_what_is_silent_is_a_matter_of_the_others(tmp_path):
    """A set of -45 dB throughout is scored as auraloss does."""
    auraloss = pytest.importorskip("auraloss")
    real = 10 ** (-45 / 20) * speech(3, 5) / speech(3, 5).std()
    fake = real + 1e-3 * np.random.default_rng(1).standard_normal(real.shape)
    result = evaluated_pairs(tmp_path, real, fake, perceptual=False)
    assert not any("mr_stft" in text for text in result["warnings"])
    clips = [torch.from_numpy(stored(x)).float()[:, None, None] for x in (fake, real)]
    expected = [auraloss.freq.MultiResolutionSTFTLoss()(x, y).item() for x, y in zip(*clips, strict=True)]
    assert result["metrics"]["mr_stft"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_odd_pairs_from_elsewhere(tmp_path, shared, scorers):
    folder = shared / "faults/audio"
    result = evaluated(tmp_path, str(folder / "pesq_real"), str(folder / "pesq_gen_one_silent"))
    assert 1 < result["metrics"]["pesq"] < 4.6 and any("for pesq." in text for text in result["warnings"])
    result = evaluated(tmp_path, str(folder / "stoi_short_real"), str(folder / "stoi_short_gen"))
    assert not {"mr_stft", "pesq", "stoi"} & set(result["metrics"])
    assert "4 of 4 pairs are too short or hold no speech for stoi." in result["warnings"]


class Unbounded(Extractor):
    """The logarithm of power, without a floor."""

    name, definition = "unbounded", "log power"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square().flatten(1).log()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_no_distance(value):
    """Precision came out as 0, kernel distances as NaN, and the Fréchet distance as a fault of linear algebra."""
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(20, 3, generator=generator) for _ in range(2))
    generated[7, 1] = value
    distances = (
        kernel_distance,
        kernel_distance_in_blocks,
        precision_recall,
        lambda a, b: different_bins(a, b, 2),
        lambda a, b: frechet_distance(moments(a), moments(b)),
    )
    for distance in distances:
        for pair in ((real, generated), (generated, real)):
            with pytest.raises(ValueError, match=r"1 of 20 feature vectors are not finite"):
                distance(*pair)


def test_an_extractor_that_is_not_finite_is_named(tmp_path):
    clips = np.random.default_rng(0).uniform(0.1, 0.5, (4, 64))
    clips[2, 5] = 0
    write_clips(tmp_path / "clips", clips, RATE)
    signals = SignalSet(PackedDataset(tmp_path / "clips"))
    for found in (
        lambda: signals.features(Unbounded()),
        lambda: signals.statistic(FeatureDistance(Unbounded()).summary),
    ):
        with pytest.raises(InputError, match=r"unbounded is not finite for some of 4 signals of shape \[1, 64\] \(log"):
            found()


@pytest.mark.parametrize("shape", [(8, 8, 8, 1), (8, 2, 2, 1), (8, 8), (8, 2)])
def test_signals_with_no_frequency_below_the_default_cut_off_are_judged_without_it(tmp_path, shape):
    rate = RATE if len(shape) == 2 else None
    rng = np.random.default_rng(0)
    whole = [rng.integers(60, 190, shape) if rate is None else rng.normal(0, 0.1, shape) for _ in "ab"]
    for name, signals in zip(("real", "same"), whole, strict=True):
        write_pictures(tmp_path / name, signals) if rate is None else write_clips(tmp_path / name, signals, rate)
    real, generated = (SignalSet(PackedDataset(tmp_path / name)) for name in ("real", "same"))
    found = SpectralDistance().verdict(real, generated)
    assert [metric.name for metric in found.metrics] == ["log_spectral_distance"]
    x, y = (set_of.statistic(mean_spectrum).power[1:] for set_of in (real, generated))
    assert found.metrics[0].value == pytest.approx((10 * (y / x).log10()).square().mean().sqrt().item())
    assert found.warnings[0].startswith("frequency_error and frequency_bias are left out: ")
    with pytest.raises(InputError, match=r"^cutoff=0\.5: "):
        SpectralDistance(0.5).verdict(real, generated)
    if len(x) > 1:
        middle = real.statistic(mean_spectrum).frequency[1:].mean().item()
        assert len(SpectralDistance(middle).verdict(real, generated).metrics) == 5
