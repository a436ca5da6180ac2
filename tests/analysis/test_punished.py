"""Errors of equal size, and what regularizers make of them."""

import pytest
import torch

from mmspec.analysis.best_linear import best_linear
from mmspec.analysis.punished import WHITE, distortions, values
from mmspec.losses import FourierAmplitudeLoss, SquaredError

SHAPES = [(3, 1, 64), (3, 2, 16, 16)]


def signals(shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).cumsum(-1), generator


@pytest.mark.parametrize("shape", SHAPES)
def test_every_distortion_of_every_sample_is_as_large(shape):
    x, generator = signals(shape)
    axes = tuple(range(1, x.ndim))
    centred = x - x.mean(tuple(range(2, x.ndim)), keepdim=True)
    expected = 0.2**2 * centred.square().mean(axes)
    distorted = distortions(x, 0.2, generator)
    assert len(distorted) == 6
    for name, y in distorted.items():
        torch.testing.assert_close((y - x).square().mean(axes), expected, rtol=1e-6, atol=0, msg=name)
    assert values(SquaredError("none"), x, distorted) == pytest.approx(dict.fromkeys(distorted, 1.0), rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_amplitudes_do_not_see_a_shift(shape):
    x, generator = signals(shape)
    x = x - torch.fft.fft(x)[..., shape[-1] // 2].real[..., None] / shape[-1] * (-1) ** torch.arange(shape[-1])
    found = values(FourierAmplitudeLoss(reduction="none"), x, distortions(x, 0.2, generator))
    assert found["shifted"] == pytest.approx(0, abs=1e-9)  # of a signal without half the sampling frequency
    assert found[WHITE] == 1 and found["faded"] > 0.1


def test_the_best_linear_denoiser_beats_every_other_gain():
    generator = torch.Generator().manual_seed(0)
    x = 3 + 0.5 * torch.randn(4096, 1, 8, generator=generator, dtype=torch.float64)
    noisy = x + torch.randn(x.shape, generator=generator, dtype=torch.float64)
    predicted = best_linear(x, noisy, 1.0)
    assert (predicted - x).square().mean().item() == pytest.approx(0.25 * 1 / 1.25, rel=0.02)
    torch.testing.assert_close(predicted, 3 + 0.2 * (noisy - 3), rtol=0, atol=0.1)
