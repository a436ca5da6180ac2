"""Linear denoisers of Gaussian signals, whose gains are known in closed form."""

import pytest
import torch

from mmspec.diagnosis.calibration import calibrate
from mmspec.diffusion import sample
from mmspec.diffusion.guidance import Guided
from mmspec.diffusion.processes.process import karras_sigmas
from mmspec.errors import InputError
from mmspec.metrics.statistics import bootstrap_means, widened_interval
from mmspec.spectral.octaves import mirrored, octave_edges, octave_energy
from tests.stationary import cycles, filtered

SIZES = [(64,), (45,), (16, 16), (15, 18)]
LEVELS = (0.05, 0.3, 1.0, 2.0)


class Filtered:
    """Gaussian signals whose power falls with the frequency, and a linear denoiser of them: the best one
    ``S / (S + sigma^2)``, times a gain in the top octave.

    Args:
        size: of the signals.
        gain: of the top octave, at a noise level.
    """

    def __init__(self, size, gain=lambda sigma: 1.0):
        self.size, self.gain = size, gain
        self.power = 1 / (1 + cycles(size) ** 2 / 4)
        self.top = cycles(size) > octave_edges(size)[-2]

    def signals(self, count, seed=0):
        white = torch.randn(count, 2, *self.size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return filtered(white, self.power.sqrt())

    def __call__(self, x, sigma):
        level = sigma[0].item()
        return filtered(x, self.power / (self.power + level**2) * torch.where(self.top, self.gain(level), 1.0))


def calibrated(denoiser, count=200, seed=0):
    return calibrate(denoiser, [(each, {}) for each in denoiser.signals(count, seed).split(90)], LEVELS, seed)


@pytest.mark.parametrize("size", SIZES)
def test_a_denoiser_that_damps_the_top_octave_gets_it_back_and_nothing_else(size):
    correction = calibrated(Filtered(size, lambda sigma: 0.7))
    for *others, top in correction.gains:
        assert others == [1.0] * len(others)
        assert top == pytest.approx(1 / 0.7, rel=0.05)


@pytest.mark.parametrize("size", SIZES)
def test_a_denoiser_that_keeps_noise_gets_a_gain_below_1_where_it_does(size):
    """Twice what the best one lets pass at sigma 1, and as much as it does elsewhere."""
    correction = calibrated(Filtered(size, lambda sigma: 2.0 if sigma == 1.0 else 1.0))
    at = dict(zip(correction.sigmas, correction.gains, strict=True))
    assert at[1.0][-1] == pytest.approx(0.5, rel=0.05)
    assert {gain for sigma, gains in at.items() if sigma != 1.0 for gain in gains} == {1.0}


@pytest.mark.parametrize("size", SIZES)
def test_of_the_best_denoiser_there_is_nothing_to_correct(size):
    with pytest.raises(InputError, match="nothing to correct: the measured bias lies within noise"):
        calibrated(Filtered(size))


def test_gains_are_held_at_2_and_at_0():
    assert {gains[-1] for gains in calibrated(Filtered((64,), lambda sigma: 0.3)).gains} == {2.0}
    assert {gains[-1] for gains in calibrated(Filtered((64,), lambda sigma: -0.5)).gains} == {0.0}


def test_an_octave_in_which_a_denoiser_answers_nothing_is_left_alone():
    with pytest.raises(InputError, match="nothing to correct"):
        calibrated(Filtered((64,), lambda sigma: 0.0))


def test_the_gain_is_the_one_after_which_an_octave_errs_least():
    """Of signals that are not Gaussian, and a denoiser that is not linear."""
    clean = Filtered((64,)).signals(100).sign()

    def denoise(x, sigma):
        return torch.tanh(x)

    correction = calibrate(denoise, [(clean, {})], [0.5])
    noise = 0.5 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    answers, gains = denoise(torch.cat([clean + noise, clean - noise]), None), torch.tensor(correction.gains[0])

    def errors(factor):
        """By octave, each with its own gain times a factor."""
        found = [octave_energy(mirrored(factor * gain * answers - clean.repeat(2, 1, 1)), len(gains)) for gain in gains]
        return torch.stack(found).mean((1, 2)).diagonal()

    wrong = gains != 1
    assert wrong.any()
    assert (errors(1.0) < errors(0.99))[wrong].all()
    assert (errors(1.0) < errors(1.01))[wrong].all()


@pytest.mark.parametrize("size", [(64,), (16, 16)])
def test_samples_of_the_corrected_denoiser_have_the_energy_of_the_data(size):
    """The top octave is measured 1.6 dB and more too weak without, and within noise of nothing with the correction."""
    denoiser, steps = Filtered(size, lambda sigma: 0.7), 40
    levels = karras_sigmas(steps, 0.01, 20).tolist()
    correction = calibrate(denoiser, [(denoiser.signals(300, seed=1), {})], levels)
    noise = torch.randn(300, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def bias(found):
        energies = octave_energy(mirrored(sample(denoiser, noise, sigmas=levels, correction=found))).mean(1)[:, -1]
        truth = (denoiser.power * denoiser.top).sum().item() / denoiser.power.numel()
        decibels = 10 * torch.log10(bootstrap_means(energies) / truth)
        return widened_interval(decibels, 10 * torch.log10(energies.mean() / truth), len(energies))

    assert bias(None)[1] < -1.6
    low, high = bias(correction)
    assert low - 0.1 < 0 < high + 0.1  # borders between gains are smooth, and steps are finite


def test_levels_ascend_in_whatever_order_they_are_given():
    denoiser = Filtered((16, 16), lambda sigma: 0.7)
    batches = [(denoiser.signals(60), {})]
    assert calibrate(denoiser, batches, LEVELS[::-1]) == calibrate(denoiser, batches, LEVELS)


def test_too_few_signals_are_refused():
    with pytest.raises(InputError, match="29 signals are too few to calibrate on: give 30 or more"):
        calibrated(Filtered((64,)), count=29)


def test_a_gain_is_of_the_guided_denoiser_where_there_is_guidance():
    """Labels add the best answer once more; guidance by 2 adds it twice."""
    signals = Filtered((64,))

    def denoise(x, sigma, labels):
        return signals(x, sigma) * (1 + labels.sum(1))[:, None, None]

    told = [(signals.signals(100), {"labels": torch.ones(100, 1, dtype=torch.float64)})]
    for scale in (1.0, 2.0):
        gains = torch.tensor(calibrate(Guided(denoise, scale), told, [0.3]).gains)
        torch.testing.assert_close(gains, torch.full_like(gains, 1 / (1 + scale)), rtol=0.06, atol=0)
