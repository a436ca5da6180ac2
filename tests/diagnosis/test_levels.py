"""Noise levels against quantiles of the distributions that they are of."""

import math

import pytest
import torch
from scipy.stats import norm

from mmspec.diagnosis.levels import drawn_shares, noise_levels
from mmspec.diffusion.noise import LogNormal
from mmspec.diffusion.processes import DDPM, EDM


def test_levels_are_where_training_is() -> None:
    levels = noise_levels(EDM(), EDM(), 10)
    ends = [math.exp(-1.2 + 1.2 * norm.ppf(share)) for share in (0.01, 0.99)]
    assert (levels[0].item(), levels[-1].item()) == pytest.approx(ends, rel=0.05)
    torch.testing.assert_close(levels[1:] / levels[:-1], (levels[1] / levels[0]).expand(9))


def test_shares_are_those_of_the_distribution() -> None:
    levels = torch.tensor([0.1, 0.3, 0.9], dtype=torch.float64)
    between = [(math.log(math.sqrt(0.03)) + 1.2) / 1.2, (math.log(math.sqrt(0.27)) + 1.2) / 1.2]
    low, high = norm.cdf(between)
    assert drawn_shares(LogNormal(), levels).tolist() == pytest.approx([low, high - low, 1 - high], abs=0.01)


def test_levels_are_those_that_the_network_knows() -> None:
    process = DDPM()
    levels = noise_levels(process, process, 10)
    torch.testing.assert_close(process.round_sigma(levels), levels)
    assert bool((levels >= process.sigma_min).all()) and bool((levels <= process.sigma_max).all())
