"""What numbers of several seeds and signals can show: intervals, exact tests, and the smallest effect they could see.

Everything is drawn from a seed: the same numbers give the same interval again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LEVEL = 0.95
POWER = 0.8
REPETITIONS = 1000
EXACT_FLIPS = 16  # up to 65,536 signs are tried one and all; of more differences as many random ones
AT_ONCE = 1 << 22  # weights of resampling: memory, not results


@dataclass(frozen=True)
class Interval:
    """Where a value lies with a probability of 95%.

    Attributes:
        low: its lower end.
        high: its upper end.
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def bootstrap_means(values: Tensor, repetitions: int = REPETITIONS, seed: int = 0) -> Tensor:
    """Means of sets drawn with replacement from a set of signals, each as large as it (Efron 1979).

    Args:
        values: ``[N, ...]``, of N signals.
        repetitions: sets that are drawn.
        seed: of the draws, which do not depend on what the values are.

    Returns:
        ``[repetitions, ...]`` float64.

    Raises:
        ValueError: if there are no signals.
    """
    count = _count(values, at_least=1)
    generator = torch.Generator().manual_seed(seed)
    flat = values.double().reshape(count, -1)
    means = []
    for rows in torch.split(torch.arange(repetitions), max(1, AT_ONCE // count)):
        drawn = torch.randint(count, (len(rows), count), generator=generator)
        times = torch.zeros(len(rows), count, dtype=torch.float64).scatter_add(
            1, drawn, torch.ones_like(drawn).double()
        )
        means.append(times @ flat / count)
    return torch.cat(means).reshape(repetitions, *values.shape[1:])


def widened_interval(draws: Tensor, found: Tensor, count: int, level: float = LEVEL) -> tuple[Tensor, Tensor]:
    """Quantiles of bootstrap draws, further from what was found where few signals were drawn from.

    Plain quantiles are too narrow by ``sqrt((n - 1) / n)``, and by the ratio of the normal to Student's quantile, which
    are 0.63 together for 5 seeds (Hesterberg 2015, "narrowness bias").

    Args:
        draws: ``[repetitions, ...]``.
        found: ``[...]``, of the signals as they are.
        count: signals, or seeds, that were drawn from; of two sets the smaller count.
        level: probability with which the value is to lie inside.

    Returns:
        ``(low, high)``, ``[...]`` float64 each.

    Raises:
        ValueError: for fewer than 2 signals.
    """
    tail = (1 - level) / 2
    ends = draws.double().quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    low, high = found + _widening(count, level) * (ends - found)
    return low, high


def _widening(count: int, level: float) -> float:
    from scipy.stats import norm, t

    _count(range(count), at_least=2)
    tail = (1 - level) / 2
    return float(t.ppf(tail, count - 1) / norm.ppf(tail) * math.sqrt(count / (count - 1)))


def simultaneous_interval(draws: Tensor, found: Tensor, count: int, level: float = LEVEL) -> tuple[Tensor, Tensor]:
    """Intervals of many values that hold for all of them together: Student's, each at a level of its own (Bonferroni).

    Quantiles of bootstrap draws do not reach so far, so their standard deviation is taken. Relations between values are
    left aside: taking them in ("max-t") makes intervals 5% narrower, and those of 16 signals cover 92% alone.

    Args:
        draws: ``[repetitions, ...]``.
        found: ``[...]``, of the signals as they are.
        count: signals that were drawn from.
        level: probability with which no value lies outside.

    Returns:
        ``(low, high)``, ``[...]`` float64 each.

    Raises:
        ValueError: for fewer than 2 signals.
    """
    from scipy.stats import t

    _count(range(count), at_least=2)
    errors = t.isf((1 - level) / 2 / found.numel(), count - 1) * math.sqrt(count / (count - 1))
    width = errors * draws.double().std(0)
    return found - width, found + width


def difference_interval(
    real: Tensor, generated: Tensor, difference: Callable[[Tensor, Tensor], Tensor], seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """What differs between two sets, and 95% of it.

    Args:
        real, generated: ``[N, ...]`` and ``[M, ...]``.
        difference: of means of two sets, ``[repetitions, ...]`` each.
        seed: of the bootstrap.

    Returns:
        ``(found, low, high)``, each in the shape of a difference, float64.

    Raises:
        ValueError: for fewer than 2 signals on a side.
    """
    found = difference(real.double().mean(0, keepdim=True), generated.double().mean(0, keepdim=True))[0]
    draws = difference(*(bootstrap_means(each, seed=2 * seed + side) for side, each in enumerate((real, generated))))
    return found, *widened_interval(draws, found, min(len(real), len(generated)))


def half_differences(
    values: Tensor, difference: Callable[[Tensor, Tensor], Tensor], repetitions: int = REPETITIONS, seed: int = 0
) -> Tensor:
    """What differs between the two halves of one set, halved at random again and again.

    Args:
        values: ``[N, ...]``, of N signals.
        difference: of means of two sets, ``[repetitions, ...]`` each.
        repetitions: halvings.
        seed: of the halvings.

    Returns:
        What ``difference`` returns.

    Raises:
        ValueError: for fewer than 2 signals.
    """
    count = _count(values, at_least=2)
    return difference(*_split_means(values, count // 2, repetitions, seed))


def permutation_p(
    real: Tensor,
    generated: Tensor,
    difference: Callable[[Tensor, Tensor], Tensor],
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> Tensor:
    """Two-sided p-values that two sets are of one kind, by exchanging their signals at random (Fisher 1935).

    Args:
        real, generated: ``[N, ...]`` and ``[M, ...]``.
        difference: of means of two sets, ``[repetitions, ...]`` each; 0 where they are equal.
        repetitions: exchanges; the smallest p-value is ``1 / (repetitions + 1)``.
        seed: of the exchanges.

    Returns:
        In the shape of a difference, float64: the share of exchanges, the sets as they are among them, whose difference
        is at least as large.
    """
    pooled = torch.cat([real, generated]).double()
    seen = difference(real.double().mean(0, keepdim=True), generated.double().mean(0, keepdim=True)).abs()
    exchanged = difference(*_split_means(pooled, len(real), repetitions, seed)).abs()
    larger = (exchanged >= seen * (1 - 1e-12)).sum(0)
    return (larger + 1).double() / (repetitions + 1)


def _split_means(values: Tensor, first: int, repetitions: int, seed: int) -> tuple[Tensor, Tensor]:
    """Means of the first so many signals of random orders, and of the others: ``[repetitions, ...]`` float64 each."""
    count = len(values)
    generator = torch.Generator().manual_seed(seed)
    flat = values.double().reshape(count, -1)
    sums = []
    for rows in torch.split(torch.arange(repetitions), max(1, AT_ONCE // count)):
        chosen = torch.rand(len(rows), count, generator=generator).argsort(1)[:, :first]
        sums.append(torch.zeros(len(rows), count, dtype=torch.float64).scatter_(1, chosen, 1.0) @ flat)
    ours = torch.cat(sums)
    both = ours / first, (flat.sum(0) - ours) / (count - first)
    ours, others = (means.reshape(repetitions, *values.shape[1:]) for means in both)
    return ours, others


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, adjusted so that the chance of any false one keeps its level (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


@dataclass(frozen=True)
class PairedDifference:
    """What changed from one arm of an experiment to another, seed by seed.

    Attributes:
        mean: of the differences.
        interval: 95% of the mean unless another level is asked for, by drawing seeds, then signals of each.
        sign_p: exact sign test; seeds without a difference do not count.
        permutation_p: exact test over the signs of all seeds.
        detectable: the smallest true difference that so many seeds, which scatter so, show in 4 of 5 experiments.
        seeds: how many.
    """

    mean: float
    interval: Interval
    sign_p: float
    permutation_p: float
    detectable: float
    seeds: int


def paired_difference(
    differences: Tensor, repetitions: int = 10 * REPETITIONS, seed: int = 0, level: float = LEVEL
) -> PairedDifference:
    """Weigh differences that pair: the same seed, and the same signal, with and without a treatment.

    The interval is drawn from seeds first, then from the signals of each (two levels): as wide as Student's where seeds
    scatter, wider where the few signals of a seed do.

    Args:
        differences: ``[seeds]``, or ``[seeds, signals]``.
        repetitions: bootstrap draws.
        seed: of the draws.
        level: of the interval; ``1 - 0.05 / n`` where one of n differences is looked for (Bonferroni).

    Raises:
        ValueError: for fewer than 2 seeds, or a difference that is not finite.
    """
    seeds = _count(differences, at_least=2, what="seeds")
    if not torch.isfinite(differences).all():
        raise ValueError("differences must be finite: leave out, and name, the seeds that failed.")
    by_seed = differences.double().reshape(seeds, -1)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(seeds, (repetitions, seeds), generator=generator)
    draws = _means_of(by_seed, chosen, generator)
    means = by_seed.mean(1)
    low, high = widened_interval(draws, means.mean(), seeds, level)
    return PairedDifference(
        mean=means.mean().item(),
        interval=Interval(low.item(), high.item()),
        sign_p=sign_p(means),
        permutation_p=sign_flip_p(means, seed),
        detectable=smallest_effect(seeds) * means.std().item(),
        seeds=seeds,
    )


def _means_of(by_seed: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Means over the chosen seeds of means of signals that are drawn from each, ``[repetitions]``."""
    signals = by_seed.shape[1]
    if signals == 1:
        return by_seed[:, 0][chosen].mean(1)
    means = []
    for rows in torch.split(chosen, max(1, AT_ONCE // (chosen.shape[1] * signals))):
        which = torch.randint(signals, (*rows.shape, signals), generator=generator)
        means.append(by_seed[rows[..., None], which].mean((1, 2)))
    return torch.cat(means)


def sign_p(differences: Tensor) -> float:
    """Exact two-sided sign test (Arbuthnott 1710): are as many differences above 0 as below it?

    Args:
        differences: ``[n]``; those of 0 do not count.
    """
    from scipy.stats import binomtest

    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return float(binomtest(above, above + below).pvalue) if above + below else 1.0


def sign_flip_p(differences: Tensor, seed: int = 0) -> float:
    """Exact two-sided test that differences are symmetric about 0 (Fisher 1935), over all signs that they could have.

    Args:
        differences: ``[n]``; of more than 16, 65,536 random signs are tried.
        seed: of the random signs.
    """
    count = len(differences)
    values = differences.double()
    if count <= EXACT_FLIPS:
        bits = torch.arange(2**count)[:, None] >> torch.arange(count)
        sums = ((bits & 1) * 2 - 1).double() @ values
        return float((sums.abs() >= values.sum().abs() * (1 - 1e-12)).double().mean())
    signs = torch.randint(2, (2**EXACT_FLIPS, count), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    larger = (signs.double() @ values).abs() >= values.sum().abs() * (1 - 1e-12)
    return (int(larger.sum()) + 1) / (len(signs) + 1)


def smallest_effect(count: int, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest mean difference, in standard deviations of the differences, that a paired t-test sees.

    Args:
        count: pairs.
        level: 0.95 of a test at 5%.
        power: probability with which it is seen.

    Raises:
        ValueError: for fewer than 2 pairs.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    _count(range(count), at_least=2, what="pairs")
    critical, root = t.ppf((1 + level) / 2, count - 1), math.sqrt(count)
    return float(brentq(lambda effect: nct.sf(critical, count - 1, effect * root) - power, 1e-6, 100))


def _count(values: Tensor | range, at_least: int, what: str = "signals") -> int:
    if len(values) < at_least:
        raise ValueError(f"{len(values)} {what} are too few: {at_least} or more are needed.")
    return len(values)
