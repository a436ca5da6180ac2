import numpy as np
import pytest
import torch

from mmspec.analysis import figures
from mmspec.analysis.frequency_bias import (
    TwoLayers,
    draw,
    draw_waves,
    magnitudes,
    make_denoiser,
    share_of,
    stray,
    train,
    waves,
)
from mmspec.diffusion import Objective
from mmspec.diffusion.processes import DDPM, EDM
from mmspec.diffusion.processes.ddpm import ddpm_sigmas
from mmspec.losses.weighting import NoisePredictionWeight


def test_the_signals_are_the_papers():
    x = np.arange(64) / 64
    np.testing.assert_allclose(waves(64)[:, 0], [np.cos(6 * np.pi * x), np.cos(10 * np.pi * x)], atol=1e-6)
    magnitude = magnitudes(draw_waves(20_000, 64, torch.Generator().manual_seed(0)))
    assert share_of(3, magnitude) == pytest.approx(0.2, abs=0.01)
    assert share_of(3, magnitude) + share_of(5, magnitude) == 1
    assert stray(magnitude) < 1e-6


def test_magnitudes_are_amplitudes():
    x = torch.arange(32) / 32
    signal = 0.7 * torch.cos(2 * torch.pi * 4 * x + 1) + 0.2 * torch.sin(2 * torch.pi * 9 * x)
    magnitude = magnitudes(signal[None, None])
    assert magnitude.shape == (1, 17)
    assert magnitude[0, 4].item() == pytest.approx(0.7, abs=1e-5)
    assert magnitude[0, 9].item() == pytest.approx(0.2, abs=1e-5)
    assert share_of(4, magnitude) == 1


def test_the_network_sees_the_noise_level_and_has_no_classes():
    network = TwoLayers(16, 8)
    x = torch.randn(3, 1, 16)
    assert network(x, torch.zeros(3)).shape == (3, 1, 16)
    assert not torch.equal(network(x, torch.zeros(3)), network(x, torch.ones(3)))
    assert sum(p.numel() for p in network.parameters()) == 17 * 8 + 8 + 8 * 16 + 16
    with pytest.raises(ValueError, match="labels must be None"):
        network(x, torch.zeros(3), labels=torch.zeros(3, 1))


def trained(seed, hidden=48, steps=400):
    sigmas = ddpm_sigmas()
    denoiser = make_denoiser(16, hidden, EDM(0.5**0.5, float(sigmas[0]), float(sigmas[-1])), seed)
    train(denoiser, Objective(EDM(), noise=DDPM(), weighting=NoisePredictionWeight()), seed, steps=steps, batch_size=64)
    return denoiser


def test_a_seed_decides_everything():
    sigmas = ddpm_sigmas(timesteps=50)
    a, b = (draw(trained(seed=1, steps=5), 4, sigmas, seed=2) for _ in range(2))
    assert a.shape == (4, 1, 16) and torch.equal(a, b)
    assert not torch.equal(a, draw(trained(seed=3, steps=5), 4, sigmas, seed=2))


def test_training_finds_the_waves():
    samples = magnitudes(draw(trained(seed=0), 100, ddpm_sigmas(), seed=0))
    assert share_of(3, samples) + share_of(5, samples) > 0.95
    assert stray(samples) < 0.3
    assert share_of(5, samples) > share_of(3, samples)


def test_figures_hold_the_numbers():
    values = np.random.default_rng(0).random((5, 20))
    maps = figures.magnitude_maps({"real": values, "small": 2 * values}, highest=12)
    pictures = [axes.images[0].get_array() for axes in maps.axes]
    np.testing.assert_array_equal(pictures[0], values[:, :13])
    np.testing.assert_array_equal(pictures[1], 2 * values[:, :13])
    assert maps.axes[0].get_xlabel() == "cycles per signal"

    bars = figures.mean_magnitudes({"real": values[0], "small": values[1]}, highest=6).axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], [*values[0, :7], *values[1, :7]])

    axes = figures.shares({"large": [0.1, 0.3], "small": [0.05, 0.06]}, 0.2, "share").axes[0]
    drawn = [line.get_xdata() for line in axes.lines]
    np.testing.assert_allclose(drawn[0], 0.2)
    np.testing.assert_allclose(drawn[1], [0.2])
    np.testing.assert_allclose(drawn[2], [0.1, 0.3])
    np.testing.assert_allclose(drawn[4], [0.05, 0.06])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["large", "small"]
