"""The classifier's AUC against scikit-learn's and a closed form; its p-values hold their level."""

import math

import pytest
import sklearn.metrics
import torch

from mmspec.metrics.two_sample import _auc_of, cross_validated_auc


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_areas_are_scikit_learns() -> None:
    features, labels = normal(60, 3, seed=0), (normal(60, 4, seed=1) > 0).double()
    held_out = torch.arange(60) % 3 == 0
    ridge = 1e-3 * 60 * torch.eye(3).double()
    weights = torch.linalg.solve(
        features[~held_out].T @ features[~held_out] + ridge, features[~held_out].T @ labels[~held_out]
    )
    scores = features[held_out] @ weights
    expected = [sklearn.metrics.roc_auc_score(labels[held_out][:, i], scores[:, i]) for i in range(4)]
    assert _auc_of(held_out, features, labels).tolist() == pytest.approx(expected)


def test_two_normal_sets_reach_the_area_that_theory_allows() -> None:
    """Means one deviation apart: the best classifier is right with probability Phi(1 / sqrt(2))."""
    auc, p = cross_validated_auc(normal(2000, 1, seed=0), normal(2000, 1, seed=1) + 1, 99)
    assert auc == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.02) and p == 0.01


def test_other_spread_is_seen_as_well() -> None:
    auc, p = cross_validated_auc(normal(500, 2, seed=0), 2 * normal(500, 2, seed=1), 99)
    assert auc > 0.7 and p == 0.01


def test_p_values_hold_their_level() -> None:
    p = [cross_validated_auc(normal(40, 3, seed=2 * i), normal(60, 3, seed=2 * i + 1), 99, i)[1] for i in range(400)]
    assert sum(each <= 0.05 for each in p) / 400 == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 400))


def test_constant_features_tell_nothing() -> None:
    auc, p = cross_validated_auc(torch.ones(20, 2), torch.ones(20, 2), 9)
    assert math.isfinite(auc) and p > 0.05


def test_too_few_signals_are_refused() -> None:
    with pytest.raises(ValueError, match="9 signals are too few for a classifier: 10 or more"):
        cross_validated_auc(torch.randn(9, 1), torch.randn(20, 1))
