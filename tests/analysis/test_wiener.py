import numpy as np
import pytest
import torch

from mmspec.analysis import figures
from mmspec.analysis.wiener import FilterEstimate, measure_filter, power_law, wiener_filter
from tests.oracles import Gaussian


def test_the_closed_form_in_both_notations():
    power = power_law(torch.arange(1.0, 100, dtype=torch.float64), amplitude=2.0, alpha=1.5)
    np.testing.assert_allclose(power[3], 2 * 4**-1.5)
    for abar in (0.1, 0.5, 0.99):
        sigma2 = (1 - abar) / abar  # x = sqrt(abar) (x0 + sigma n)
        expected = power / (power + sigma2) / abar**0.5
        np.testing.assert_allclose(wiener_filter(power, abar), expected, rtol=1e-6)
    np.testing.assert_allclose(wiener_filter(power, 1.0), torch.ones(99))


def test_it_is_the_least_squares_filter():
    rng = np.random.default_rng(0)
    abar, power = 0.7, 3.0
    x0, noise = rng.standard_normal((2, 200_000)) * [[power**0.5], [1]]
    y = abar**0.5 * x0 + (1 - abar) ** 0.5 * noise
    assert (y @ x0) / (y @ y) == pytest.approx(wiener_filter(torch.tensor(power), abar).item(), rel=0.01)


class Process:
    """Gaussian signals with a power spectrum, and their exact denoiser, a linear filter."""

    def __init__(self, *size):
        axes = [torch.fft.fftfreq(n, dtype=torch.float64) * max(size) for n in size]
        self.axes = tuple(range(-len(size), 0))
        self.radius = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt()
        self.power = 4 * (1 + self.radius) ** -2.0

    def draw(self, count, seed):
        white = torch.randn(count, 2, *self.power.shape, generator=torch.Generator().manual_seed(seed)).double()
        return self.filtered(white, self.power.sqrt())

    def filtered(self, x, gain):
        return torch.fft.ifftn(torch.fft.fftn(x, dim=self.axes) * gain, dim=self.axes).real

    def __call__(self, x, sigma):
        return self.filtered(x.double(), self.power / (self.power + sigma[0].double() ** 2))


@pytest.mark.parametrize("size", [(64,), (33,), (16, 16), (12, 15)])
def test_the_exact_denoiser_has_the_predicted_filter(size):
    process, sigma = Process(*size), 0.5
    found = measure_filter(process, [(process.draw(200, seed), {}) for seed in (0, 1)], sigma, seed=7)
    assert found.frequency.tolist() == list(range(len(found.frequency)))
    bins = (process.radius.float() + 0.5).floor().long()
    for index in range(len(found.frequency)):
        power = process.power[bins == index]
        exact = power.mean() / (power + sigma**2).mean()
        assert found.predicted[index].item() == pytest.approx(exact.item(), rel=0.1)
        assert found.measured[index].item() == pytest.approx(exact.item(), rel=0.1)


def test_a_denoiser_that_lets_less_pass_is_found_out():
    process = Process(16, 16)
    found = measure_filter(lambda x, sigma: 0.5 * process(x, sigma), [(process.draw(100, 0), {})], 0.5)
    np.testing.assert_allclose(found.measured / found.predicted, 0.5, rtol=0.1)
    identity = measure_filter(lambda x, sigma: x, [(process.draw(10, 0), {})], 0.5)
    np.testing.assert_allclose(identity.measured, 1.0, rtol=1e-9)


def test_audio_is_in_bands_in_hz():
    estimate = FilterEstimate(sample_rate=8000)
    x0 = torch.randn(200, 1, 1024, generator=torch.Generator().manual_seed(0))
    noisy = x0 + 2 * torch.randn(200, 1, 1024, generator=torch.Generator().manual_seed(1))
    denoiser = Gaussian(sd=1.0)
    estimate.update(x0, noisy, denoiser(noisy, torch.full((200,), 2.0)), 2.0)
    found = estimate.result()
    assert found.unit == "Hz" and len(found.frequency) == 129 and 3900 < found.frequency[-1] < 4000
    np.testing.assert_allclose(found.measured, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.predicted[1:], 0.2, rtol=0.1)


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError, match="at least one batch"):
        FilterEstimate().result()


def test_figures_hold_the_gains():
    frequency, gains = np.arange(1.0, 6), {0.1: np.linspace(0.5, 0, 5), 0.9: np.linspace(1, 0.5, 5)}
    lines = figures.wiener_filters(frequency, gains).axes[0].lines
    for line, values in zip(lines, gains.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), frequency)
        np.testing.assert_array_equal(line.get_ydata(), values)

    frequency = np.arange(5.0)
    predicted = {sigma: values + 0.1 for sigma, values in gains.items()}
    axes = figures.measured_filters(frequency, gains, predicted, "cycles/image").axes[0]
    drawn = [line.get_ydata() for line in axes.lines]
    for line, values in zip(drawn, [predicted[0.1], gains[0.1], predicted[0.9], gains[0.9]], strict=True):
        np.testing.assert_array_equal(line, values[1:])
    assert axes.get_xlabel() == "frequency (cycles per image)"
