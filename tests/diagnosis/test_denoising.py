"""Energies of denoisers whose best is known in closed form."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mmspec.diagnosis.denoising import Energies, WienerDenoiser, bias_db, denoising_bias, measure_energies
from mmspec.spectral import mirrored, octave_edges, octave_energy
from tests.stationary import SIZES, Change, best, octave, power, signals

SIGMAS = (0.02, 0.1, 0.4)
COUNT = 48


def measured(size: Sequence[int], change: Change | None = None, sigmas: Sequence[float] = SIGMAS) -> list[Energies]:
    x0 = signals(COUNT, size)
    batches = [(x0[:20], {}), (x0[20:], {})]
    return [measure_energies(best(size, change), batches, sigma) for sigma in sigmas]


@pytest.mark.parametrize("size", SIZES)
def test_energies_are_those_of_the_filter(size: tuple[int, ...]) -> None:
    octaves = len(octave_edges(size)) - 1
    for sigma, found in zip(SIGMAS, measured(size), strict=True):
        for index in range(-1, -octaves, -1):  # the lowest octave has its own begin
            inside = octave(size, index)
            energy = (power(size) ** 2 / (power(size) + sigma**2))[inside]
            expected, scatter = energy.sum() / math.prod(size), energy.square().sum().sqrt() / math.prod(size)
            off = float(4 * scatter * math.sqrt(2 / COUNT))  # energy of a normal value varies by its square times 2
            assert found.denoised[:, index].mean() == pytest.approx(float(expected), abs=off)
            assert found.shared[:, index].mean() == pytest.approx(float(expected), abs=2 * off)


@pytest.mark.parametrize("size", SIZES)
def test_the_best_denoiser_has_no_bias(size: tuple[int, ...]) -> None:
    bias = denoising_bias(measured(size))
    assert bool(((bias.low <= 0) & (bias.high >= 0)).all())


@pytest.mark.parametrize("size", SIZES)
def test_a_damped_octave_is_as_many_decibels_too_weak(size: tuple[int, ...]) -> None:
    bias = denoising_bias(measured(size, lambda sigma, gain: torch.where(octave(size, -1), 0.7 * gain, gain)))
    expected = torch.zeros_like(bias.decibels)
    expected[:, -1] = 20 * math.log10(0.7)
    assert bool(((bias.low <= expected) & (expected <= bias.high)).all())
    assert bool(bias.high[0, -1] < -2)


@pytest.mark.parametrize("size", SIZES)
def test_the_bias_is_the_gain_of_least_error(size: tuple[int, ...]) -> None:
    found = measured(size, lambda sigma, gain: gain.sqrt(), sigmas=(0.4,))[0]
    gain = 10 ** (-bias_db(found.denoised.mean(0), found.shared.mean(0)) / 20)

    def error(scale: Tensor) -> Tensor:
        return (scale**2 * found.denoised - 2 * scale * found.shared + found.clean).mean(0)

    assert bool((gain < 1).all())
    assert bool((error(gain) <= torch.minimum(error(gain + 0.01), error(gain - 0.01))).all())
    torch.testing.assert_close(found.error.mean(0), error(torch.ones_like(gain)))


def test_what_has_nothing_of_the_signal_is_as_far_off_as_is_told() -> None:
    none, one = torch.zeros(2), torch.ones(2)
    assert bias_db(none, none).tolist() == [0, 0]  # silence
    assert bias_db(one, none).tolist() == [60, 60]
    assert bias_db(one, -one).tolist() == [60, 60]


def test_noise_does_not_depend_on_batches() -> None:
    x0 = signals(5, (16, 16))
    once, twice = ([(part, {}) for part in x0.split(size)] for size in (5, 2))
    for ours, theirs in zip(*(measure_energies(best((16, 16)), each, 0.3) for each in (once, twice)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", SIZES)
def test_wieners_filter_of_measured_signals_is_the_best_of_gaussian_ones(size: tuple[int, ...]) -> None:
    x0 = signals(200, size)
    x = x0 + 0.3 * torch.randn(x0.shape, dtype=x0.dtype, generator=torch.Generator().manual_seed(1))
    sigma = torch.full((200,), 0.3)
    ours, exact = WienerDenoiser([(x0, {})])(x, sigma), best(size)(x, sigma)
    off = octave_energy(mirrored(ours - exact)).mean((0, 1)) / octave_energy(mirrored(exact)).mean((0, 1))
    assert bool((off[1:] < 0.02).all())
