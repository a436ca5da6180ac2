"""Gains on x0_hat against signals of one frequency, and samplers that take them."""

import math

import pytest
import torch

from mmspec.components import choices
from mmspec.diffusion import sample, seeded
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.processes.process import karras_sigmas
from mmspec.diffusion.samplers import Sampler
from tests.oracles import Gaussian, TwoPoints

SIZES = [(64,), (33,), (32, 32), (17, 24)]


def wave(size: tuple[int, ...], cycles: int) -> torch.Tensor:
    """A cosine along the last axis that is its own mirror image, ``[2, 3, *size]``, around a mean value of 0.3."""
    along = torch.cos(2 * math.pi * cycles * (torch.arange(size[-1], dtype=torch.float64) + 0.5) / size[-1])
    return (0.3 + along).expand(2, 3, *size)


@pytest.mark.parametrize(("cycles", "gain"), [(1, 0.5), (3, 1.5), (6, 1.0), (12, 2.0)])
def test_a_wave_has_the_gain_of_its_octave_and_the_mean_value_stays(cycles, gain):
    correction = Correction((1.0,), ((0.5, 1.5, 1.0, 2.0),))  # of 32 samples: up to 2, 4, 8 and 16 cycles
    torch.testing.assert_close(correction(wave((32,), cycles), 1.0) - 0.3, gain * (wave((32,), cycles) - 0.3))
    torch.testing.assert_close(correction(wave((20, 32), cycles), 1.0) - 0.3, gain * (wave((20, 32), cycles) - 0.3))


def test_a_gain_is_of_the_same_pitch_in_signals_of_any_length():
    correction = Correction((1.0,), ((1.0, 1.0, 0.5),))  # the top one: above a quarter of the sampling frequency
    for length in (30, 90):
        high, low = wave((length,), 2 * length // 5), wave((length,), length // 5)
        torch.testing.assert_close(correction(high, 1.0) - 0.3, 0.5 * (high - 0.3))
        torch.testing.assert_close(correction(low, 1.0), low)


def test_on_a_border_a_gain_lies_halfway():
    correction = Correction((1.0,), ((1.0, 1.0, 1.0, 2.0),))
    torch.testing.assert_close(correction(wave((32,), 8), 1.0) - 0.3, 1.5 * (wave((32,), 8) - 0.3))


def test_between_levels_gains_are_linear_in_log_sigma_and_constant_beyond():
    correction = Correction((0.1, 10.0), ((0.5, 1.0), (1.5, 2.0)))
    expected = {0.01: [0.5, 1.0], 0.1: [0.5, 1.0], 1.0: [1.0, 1.5], math.sqrt(10): [1.25, 1.75], 50.0: [1.5, 2.0]}
    for sigma, gains in expected.items():
        assert correction.at(sigma).tolist() == pytest.approx(gains)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gains_of_1_change_not_a_bit(size, dtype):
    x = torch.randn(2, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Correction((1.0, 2.0), ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)))(x, 1.5), x)


@pytest.mark.parametrize("size", SIZES)
def test_one_gain_for_all_octaves_is_a_factor(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean = x.mean(tuple(range(2, x.ndim)), keepdim=True)
    torch.testing.assert_close(Correction((1.0,), ((0.7, 0.7, 0.7),))(x, 3.0), mean + 0.7 * (x - mean))


@pytest.mark.parametrize("name", choices(Sampler))
def test_every_sampler_walks_with_the_corrected_denoiser(name):
    """As it does with the denoiser whose answers are multiplied beforehand, but for their mean value."""

    def halved(x, sigma):
        whole = Gaussian()(x, sigma)
        mean = whole.mean(-1, keepdim=True)
        return mean + 0.5 * (whole - mean)

    sigmas, noise = karras_sigmas(6, 0.01, 10), torch.randn(2, 1, 33, dtype=torch.float64)
    options = {"sampler": name, "sigmas": sigmas}
    correction = Correction((1.0,), ((0.5, 0.5),))
    out = sample(Gaussian(), noise, correction=correction, generator=torch.Generator().manual_seed(1), **options)
    expected = sample(halved, noise, generator=torch.Generator().manual_seed(1), **options)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("name", choices(Sampler))
def test_a_corrected_sample_depends_on_its_seed_and_not_on_its_batch(name):
    correction = Correction((0.1, 5.0), ((1.0, 0.8, 1.2), (0.5, 1.0, 2.0)))

    def run(seeds):
        options = {"sampler": name, "sigmas": karras_sigmas(6, 0.01, 10), "correction": correction}
        return sample(TwoPoints(), (len(seeds), 1, 9, 12), generator=seeded(seeds), **options)

    torch.testing.assert_close(torch.cat([run([0, 1]), run([2])]), run([0, 1, 2]))


def test_guidance_comes_before_the_correction():
    noise, labels = torch.randn(1, 1, 16, dtype=torch.float64), torch.tensor([[0.0, 1.0]])
    correction = Correction((1.0,), ((0.5,),))
    guided = sample(Gaussian(), noise, sigmas=[5.0], labels=labels, guidance=3.0)
    torch.testing.assert_close(
        sample(Gaussian(), noise, sigmas=[5.0], labels=labels, guidance=3.0, correction=correction),
        correction(guided, 5.0),
    )


@pytest.mark.parametrize(
    ("sigmas", "gains", "said"),
    [
        ((), (), "ascend"),
        ((0.0, 1.0), ((1.0,), (1.0,)), "ascend"),
        ((2.0, 1.0), ((1.0,), (1.0,)), "ascend"),
        ((1.0,), ((1.0,), (1.0,)), "a list for each"),
        ((1.0, 2.0), ((1.0,), (1.0, 1.0)), "a list for each"),
        ((1.0,), ((),), "a list for each"),
        ((1.0,), ((2.1,),), "from 0 to 2"),
        ((1.0,), ((-0.1,),), "from 0 to 2"),
        ((1.0,), ((math.nan,),), "from 0 to 2"),
    ],
)
def test_what_is_no_correction_is_refused(sigmas, gains, said):
    with pytest.raises(ValueError, match=said):
        Correction(sigmas, gains)
