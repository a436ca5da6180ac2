import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.stats import chi2_contingency

from mmspec.commands import evaluate
from mmspec.config import CONF
from mmspec.errors import InputError
from mmspec.metrics.diversity import different_bins, proportion_scores
from mmspec.metrics.features import LogMelStatistics
from tests.packed import write_clips, write_pictures


def modes(count, shares, seed=0):
    """Points near the corners of a square, in these shares."""
    rng = np.random.default_rng(seed)
    corner = rng.choice(4, count, p=shares)
    points = np.stack([corner % 2, corner // 2], 1) * 10 + rng.normal(size=(count, 2))
    return torch.from_numpy(points).float()


def test_scores_are_the_roots_of_pearsons_chi_square():
    counts, sizes = np.array([[30, 5, 65], [50, 10, 140]]), np.array([100, 200])
    scores = proportion_scores(counts, sizes)
    for i in range(3):
        table = [counts[:, i], sizes - counts[:, i]]
        assert scores[i] ** 2 == pytest.approx(chi2_contingency(table, correction=False).statistic)
    assert np.sign(scores).tolist() == [1, 0, -1]


def test_an_empty_bin_is_not_different():
    assert proportion_scores(np.array([[0, 10], [0, 20]]), np.array([10, 20])).tolist() == [0, 0]


def test_counts_the_modes_that_differ():
    real = modes(2000, [0.25] * 4)
    assert different_bins(real, real, 4) == 0
    assert different_bins(real, modes(2000, [0.25] * 4, seed=1), 4) <= 1
    assert different_bins(real, modes(2000, [0.5, 0.0, 0.25, 0.25], seed=2), 4) == 2
    assert different_bins(real, modes(2000, [1.0, 0.0, 0.0, 0.0], seed=2), 4) == 4


def test_of_two_draws_a_twentieth_of_the_bins_differs():
    different = [
        different_bins(torch.randn(3000, 3, generator=g), torch.randn(3000, 3, generator=g), 20)
        for g in (torch.Generator().manual_seed(s) for s in range(10))
    ]
    assert 0.02 < sum(different) / 200 < 0.09


def test_too_many_bins_are_refused():
    with pytest.raises(ValueError, match="20 bins cannot be made of 10"):
        different_bins(torch.randn(10, 2), torch.randn(10, 2), 20)


def tones(count, frequencies, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(1600) / 4000
    return 0.3 * np.sin(2 * np.pi * rng.choice(frequencies, (count, 1)) * t) + rng.normal(0, 0.01, (count, 1600))


def evaluated(tmp_path, **keys):
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    evaluate.run(OmegaConf.merge(defaults, {"out": str(tmp_path / "evaluation.json"), **keys}))
    return json.loads((tmp_path / "evaluation.json").read_text())


def test_a_lost_tone_is_found_in_log_mels(tmp_path):
    reference = str(write_clips(tmp_path / "real", tones(200, [300, 600, 900, 1200]), 4000))
    same = str(write_clips(tmp_path / "same", tones(200, [300, 600, 900, 1200], seed=1), 4000))
    lost = str(write_clips(tmp_path / "lost", tones(200, [300, 600, 900], seed=2), 4000))
    result = evaluated(tmp_path, reference=reference, samples=same, ndb_bins=4)
    assert result["metrics"]["ndb"] <= 0.25
    result = evaluated(tmp_path, reference=reference, samples=lost, ndb_bins=4)
    assert result["metrics"]["ndb"] >= 0.5
    for part in ("of 4 k-means bins", "32 bands", "200 generated, 200 real", "5% level"):
        assert part in result["definitions"]["ndb"]
    assert not result["warnings"]


def test_few_clips_are_said_and_bad_keys_refused(tmp_path):
    real = str(write_clips(tmp_path / "real", tones(70, [300, 600]), 4000))
    result = evaluated(tmp_path, reference=real, samples=real, ndb_bins=10)
    assert result["warnings"] == [
        "70 generated and 70 real clips are too few for 10 bins, whose differences the test can then hardly find: "
        "set ndb_bins lower, or generate more samples."
    ]
    with pytest.raises(InputError, match="ndb_bins=71: 71 bins cannot be made of 70"):
        evaluated(tmp_path, reference=real, samples=real, ndb_bins=71)
    with pytest.raises(InputError, match="ndb_bins must be 2 or more"):
        evaluated(tmp_path, reference=real, samples=real, ndb_bins=1)
    pictures = str(write_pictures(tmp_path / "pictures", np.random.default_rng(0).integers(0, 255, (70, 8, 8, 3))))
    with pytest.raises(InputError, match="ndb_bins is for audio"):
        evaluated(tmp_path, reference=pictures, samples=pictures, ndb_bins=4)


def test_log_mel_features_are_moments_of_the_spectrogram():
    clips = torch.from_numpy(tones(3, [440])).float()[:, None]
    bands = LogMelStatistics(4000).spectrogram(clips)
    assert bands.shape == (3, 51, 32)
    torch.testing.assert_close(LogMelStatistics(4000)(clips)[:, :32], bands.mean(1))
