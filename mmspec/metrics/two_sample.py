"""Whether a simple classifier can tell generated signals from real ones (Lopez-Paz and Oquab 2017)."""

import torch
from torch import Tensor

from mmspec.metrics.statistics import REPETITIONS

FOLDS = 5
RIDGE = 1e-3  # of the number of signals, on standardised features


def cross_validated_auc(
    real: Tensor, generated: Tensor, permutations: int = REPETITIONS, seed: int = 0
) -> tuple[float, float]:
    """How well features tell two sets apart, on signals that the classifier has not seen.

    The classifier is linear in the features and their squares, fitted by least squares; its area under the curve (AUC)
    is the mean over five parts of the signals, each judged by what was fitted to the other four.

    Args:
        real, generated: ``[N, D]`` and ``[M, D]``, finite.
        permutations: labellings at random, from which the p-value comes; the smallest is ``1 / (permutations + 1)``.
            0 of them give a p-value of 1.
        seed: of the parts and the labellings.

    Returns:
        ``(auc, p)``: the probability that a generated signal looks more generated than a real one, 0.5 where nothing
        tells them apart; the share of labellings, the right one among them, that do at least as well.

    Raises:
        ValueError: for fewer than 2 signals a part on either side.
    """
    fewest = min(len(real), len(generated))
    if fewest < 2 * FOLDS:
        raise ValueError(f"{fewest} signals are too few for a classifier: {2 * FOLDS} or more are needed on each side.")
    generator = torch.Generator().manual_seed(seed)
    features = _standardised(torch.cat([real, generated]).double())
    labels = torch.cat([torch.zeros(len(real)), torch.ones(len(generated))]).double()
    others = [labels[torch.randperm(len(labels), generator=generator)] for _ in range(permutations)]
    columns = torch.stack([labels, *others], 1)
    part = torch.empty(len(labels), dtype=torch.long)
    for side in (slice(0, len(real)), slice(len(real), None)):  # equally many of each side in each part
        count = len(labels[side])
        part[side] = torch.arange(count)[torch.randperm(count, generator=generator)] % FOLDS
    aucs = torch.stack([_auc_of(part == k, features, columns) for k in range(FOLDS)]).nanmean(0)
    return aucs[0].item(), int((aucs >= aucs[0] - 1e-12).sum()) / len(aucs)


def _standardised(features: Tensor) -> Tensor:
    """With their squares and a constant."""
    scaled = (features - features.mean(0)) / features.std(0).clamp_min(1e-12)
    both = torch.cat([scaled, scaled.square()], 1)
    both = (both - both.mean(0)) / both.std(0).clamp_min(1e-12)
    return torch.cat([both, torch.ones(len(both), 1, dtype=both.dtype)], 1)


def _auc_of(held_out: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """Of the signals held out, for each column of labels ``[N, P]``: ``[P]``."""
    seen, ridge = features[~held_out], RIDGE * len(features)
    gram = seen.T @ seen + ridge * torch.eye(seen.shape[1], dtype=seen.dtype)
    scores = features[held_out] @ torch.linalg.solve(gram, seen.T @ labels[~held_out])
    theirs = labels[held_out]
    ranks = scores.argsort(0).argsort(0).double() + 1
    positive = theirs.sum(0)
    negative = len(theirs) - positive
    above: Tensor = (ranks * theirs).sum(0) - positive * (positive + 1) / 2
    return above / (positive * negative)
