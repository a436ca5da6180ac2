"""P2 and min-SNR against their papers' formulas, on DDPM's table."""

import pytest
import torch

from mmspec.losses.weighting import MinSNRWeight, NoisePredictionWeight, P2Weight


@pytest.fixture
def abar():
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


@pytest.fixture
def sigma(abar):
    return ((1 - abar) / abar).sqrt()


@pytest.mark.parametrize(("k", "gamma"), [(1.0, 1.0), (1.0, 0.5), (0.3, 1.5)])
def test_p2_divides_the_weight_of_the_noise_prediction_error(abar, sigma, k, gamma):
    # Choi et al.: lambda'_t = lambda_t / (k + SNR(t))^gamma; the error of the noise is that of D over sigma^2.
    expected = 1 / (k + abar / (1 - abar)) ** gamma
    torch.testing.assert_close(P2Weight(k, gamma)(sigma) * sigma**2, expected)
    torch.testing.assert_close(P2Weight(k, gamma=0.0)(sigma), NoisePredictionWeight()(sigma))


def test_p2_with_its_defaults_is_one_over_one_plus_variance(sigma):
    torch.testing.assert_close(P2Weight()(sigma), 1 / (1 + sigma**2))


def test_min_snr_cuts_off_the_weight_of_the_signal_prediction_error(abar, sigma):
    # Hang et al.: w_t = min(SNR(t), gamma) for x0, min(SNR(t), gamma) / SNR(t) for the noise.
    snr = abar / (1 - abar)
    weight = MinSNRWeight(5.0)(sigma)
    torch.testing.assert_close(weight, torch.minimum(snr, torch.full_like(snr, 5.0)))
    torch.testing.assert_close(weight * sigma**2, torch.minimum(torch.ones_like(snr), 5.0 / snr))


@pytest.mark.parametrize("make", [lambda: P2Weight(k=0), lambda: P2Weight(gamma=-1), lambda: MinSNRWeight(0)])
def test_weights_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="needs"):
        make()
