"""Intervals and tests against closed forms, scipy, and what they promise over many simulated experiments."""

import math

import pytest
import scipy.stats
import torch

from mmspec.metrics.statistics import (
    Interval,
    bootstrap_means,
    half_differences,
    paired_difference,
    permutation_p,
    sign_flip_p,
    sign_p,
    simultaneous_interval,
    smallest_effect,
    widened_interval,
)

EXPERIMENTS = 1000
SCATTER = 3 * math.sqrt(0.95 * 0.05 / EXPERIMENTS)  # three standard deviations of a coverage of 95%: 2.1%


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def subtract(real: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    return generated - real


# Intervals


def test_bootstrap_means_scatter_as_means_do() -> None:
    values = normal(50, 3)
    means = bootstrap_means(values, 20_000)
    torch.testing.assert_close(means.mean(0), values.mean(0), atol=0.005, rtol=0)
    torch.testing.assert_close(means.std(0), values.std(0, correction=0) / 50**0.5, rtol=0.02, atol=0)
    assert torch.equal(bootstrap_means(values, 100), bootstrap_means(values, 100))
    assert bootstrap_means(values.reshape(50, 3, 1).float(), 7).shape == (7, 3, 1)


@pytest.mark.parametrize("count", [3, 5, 20, 200])
def test_a_widened_interval_of_normal_draws_is_students(count: int) -> None:
    """Draws as a bootstrap of normal values has them: normal, too narrow by sqrt((n - 1) / n)."""
    draws = torch.from_numpy(scipy.stats.norm.ppf((torch.arange(20_000).numpy() + 0.5) / 20_000))
    low, high = widened_interval(2 + draws * math.sqrt((count - 1) / count), torch.tensor(2.0), count)
    expected = scipy.stats.t.ppf(0.975, count - 1)
    assert high.item() - 2 == pytest.approx(expected, rel=1e-3) == pytest.approx(2 - low.item(), rel=1e-3)


def test_simultaneous_intervals_hold_all_of_many_means_in_95_of_100_experiments() -> None:
    """Twenty means of 40 signals, half of which go together, and one value that is the same in all signals."""
    inside = 0
    for experiment in range(EXPERIMENTS):
        values = normal(40, 21, seed=experiment)
        values[:, 10:20] = values[:, :10] + 0.5 * values[:, 10:20]
        values[:, 20] = 0.0
        draws = bootstrap_means(values, 300, seed=experiment)
        low, high = simultaneous_interval(draws, values.mean(0), 40)
        assert low[20] == high[20] == 0
        inside += bool(((low <= 0) & (high >= 0)).all())
    assert abs(inside / EXPERIMENTS - 0.95) < SCATTER


@pytest.mark.parametrize("draw", ["normal", "skew"])
def test_intervals_of_a_bias_in_decibels_cover_it(draw: str) -> None:
    """Two sets of 60 energies, the generated ones half as strong: 95% of the intervals hold -3.01 dB."""
    inside = 0
    for experiment in range(EXPERIMENTS):
        energies = normal(120, seed=experiment)
        energies = (0.5 * energies).exp() if draw == "skew" else 5 + energies
        sets = energies[:60], energies[60:] / 2
        means = [bootstrap_means(values, 400, seed) for seed, values in enumerate(sets)]
        found = 10 * (sets[1].mean() / sets[0].mean()).log10()
        low, high = widened_interval(10 * (means[1] / means[0]).log10(), found, 60)
        inside += low.item() <= 10 * math.log10(0.5) <= high.item()
    assert 0.93 <= inside / EXPERIMENTS <= 0.97


@pytest.mark.parametrize(("seeds", "signals"), [(5, 1), (8, 1), (12, 1), (5, 16)])
def test_intervals_of_paired_differences_cover_them(seeds: int, signals: int) -> None:
    inside = 0
    for experiment in range(EXPERIMENTS):
        of_seed, of_signal = normal(seeds, 1, seed=2 * experiment), normal(seeds, signals, seed=2 * experiment + 1)
        differences = 0.3 + of_seed + (0.5 * of_signal if signals > 1 else 0)
        inside += 0.3 in paired_difference(differences, 400).interval
    assert 0.93 <= inside / EXPERIMENTS <= 0.97


@pytest.mark.parametrize("signals", [16, 48])
def test_simultaneous_intervals_cover_all_values_together(signals: int) -> None:
    """20 values that are related, as neighbouring octaves and noise levels are, and scatter differently."""
    mixed = normal(EXPERIMENTS, signals, 10, seed=3) @ normal(10, 20, seed=4) * torch.logspace(-1, 1, 20)
    inside = 0
    for values in mixed.to(torch.float64):
        low, high = simultaneous_interval(bootstrap_means(values, 300), values.mean(0), signals)
        inside += bool(((low <= 0) & (high >= 0)).all())
    assert inside / EXPERIMENTS == pytest.approx(0.95, abs=SCATTER)


def test_intervals_know_what_lies_inside() -> None:
    assert 0 in Interval(-1, 0) and 0.1 not in Interval(-1, 0)


def test_halves_of_a_set_differ_by_chance_alone() -> None:
    values = normal(101, 2)
    found = half_differences(values, subtract, 5000)
    expected = values.std(0) * math.sqrt(1 / 50 + 1 / 51)
    torch.testing.assert_close(found.mean(0), torch.zeros(2).double(), atol=4 * expected.max().item() / 70, rtol=0)
    torch.testing.assert_close(found.std(0), expected, rtol=0.05, atol=0)


# Tests


def test_permutation_of_two_sets_is_scipys() -> None:
    real, generated = normal(15), normal(20, seed=1) + 0.6
    ours = permutation_p(real, generated, subtract, 20_000)
    theirs = scipy.stats.permutation_test(
        (real.numpy(), generated.numpy()),
        lambda x, y, axis: abs(y.mean(axis) - x.mean(axis)),
        vectorized=True,
        n_resamples=20_000,
        alternative="greater",
        rng=0,
    )
    assert ours.item() == pytest.approx(theirs.pvalue, abs=0.01)


def test_permutation_holds_its_level_and_finds_what_is_there() -> None:
    def rejected(shift: float) -> float:
        found = [
            permutation_p(normal(20, seed=i), normal(30, seed=i + EXPERIMENTS) + shift, subtract, 199, i) <= 0.05
            for i in range(EXPERIMENTS)
        ]
        return torch.stack(found).double().mean().item()

    assert rejected(0) == pytest.approx(0.05, abs=SCATTER)
    assert rejected(1.2) > 0.95


def test_equal_sets_have_the_p_value_1() -> None:
    assert permutation_p(torch.ones(5, 2), torch.ones(4, 2), subtract).tolist() == [1, 1]


def test_signs_are_tested_by_the_binomial() -> None:
    assert sign_p(torch.tensor([1.0, 2, 3, 4, 5])) == pytest.approx(2 / 32)
    assert sign_p(torch.tensor([1.0, 2, 3, 4, -5])) == pytest.approx(12 / 32)
    assert sign_p(torch.tensor([1.0, 2, 0, 0])) == pytest.approx(0.5)
    assert sign_p(torch.zeros(3)) == 1


@pytest.mark.parametrize("count", [3, 5, 11])
def test_sign_flips_are_scipys(count: int) -> None:
    differences = normal(count) + 0.8
    theirs = scipy.stats.permutation_test(
        (differences.numpy(),), lambda x, axis: x.mean(axis), vectorized=True, permutation_type="samples"
    )
    assert sign_flip_p(differences) == pytest.approx(theirs.pvalue)


def test_random_sign_flips_agree_with_all_of_them() -> None:
    differences = normal(18) + 0.5
    bits = torch.arange(2**18)[:, None] >> torch.arange(18)
    sums = ((bits & 1) * 2 - 1).double() @ differences
    expected = (sums.abs() >= differences.sum().abs() - 1e-9).double().mean().item()
    assert sign_flip_p(differences) == pytest.approx(expected, abs=0.005)


def test_paired_tests_hold_their_level() -> None:
    """With 8 seeds the smallest p-values are 2/256; sign flips reject at most 5%, intervals miss 0 in 5%."""
    found = [paired_difference(normal(8, seed=i), 400) for i in range(EXPERIMENTS)]
    assert sum(each.permutation_p <= 0.05 for each in found) / EXPERIMENTS <= 0.05 + SCATTER
    assert sum(each.sign_p <= 0.05 for each in found) / EXPERIMENTS <= 0.05 + SCATTER


def test_the_smallest_effect_is_what_a_t_test_sees_in_four_of_five_experiments() -> None:
    assert [round(smallest_effect(n), 1) for n in (3, 5, 8)] == [3.3, 1.7, 1.2]
    seen = [
        scipy.stats.ttest_1samp((normal(5, seed=i) + smallest_effect(5)).numpy(), 0).pvalue < 0.05
        for i in range(EXPERIMENTS)
    ]
    assert sum(seen) / EXPERIMENTS == pytest.approx(0.8, abs=0.04)


def test_a_paired_difference_says_what_it_found() -> None:
    found = paired_difference(torch.tensor([1.0, 1.2, 0.8, 1.1, 0.9]))
    assert found.mean == pytest.approx(1) and found.seeds == 5
    assert found.sign_p == found.permutation_p == pytest.approx(2 / 32)
    assert found.detectable == pytest.approx(smallest_effect(5) * torch.tensor([1.0, 1.2, 0.8, 1.1, 0.9]).std().item())
    assert 0 not in found.interval and 1 in found.interval


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        (torch.ones(1), "1 seeds are too few: 2 or more are needed"),
        (torch.tensor([1.0, torch.nan]), "differences must be finite"),
    ],
)
def test_what_cannot_be_weighed_is_refused(differences: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        paired_difference(differences)
