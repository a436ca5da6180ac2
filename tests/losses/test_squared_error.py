"""The placebo: any unitary domain gives the same number, and the share of the gradient is its neighbour's."""

import pytest
import torch

from mmspec.losses import FourierAmplitudeLoss, Regularizer, SquaredError
from mmspec.losses.weighting import InverseSigmaGate
from mmspec.spectral import wavedec


def pair(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@pytest.mark.parametrize("size", [(16,), (8, 16)])
def test_it_is_the_squared_error_of_any_unitary_domain(size):
    input, target = pair(3, 2, *size)
    difference = input - target
    in_pixels = SquaredError(reduction="sum")(input, target)
    in_fourier = torch.fft.fftn(difference, dim=tuple(range(2, difference.ndim)), norm="ortho").abs().square().sum()
    torch.testing.assert_close(in_fourier, in_pixels)
    low, *details = wavedec(difference, "haar", mode="periodization", levels=2)
    bands = [low, *(band for level in details for band in (level if isinstance(level, tuple | list) else [level]))]
    torch.testing.assert_close(sum(band.square().sum() for band in bands), in_pixels)


def test_gate_and_share_of_the_gradient_are_those_of_the_term_it_stands_beside():
    x0_hat, x0 = pair(4, 3, 8, 8)
    x0_hat.requires_grad_()
    sigma = torch.tensor([0.01, 0.1, 1.0, 10.0])
    shares = []
    for loss in (SquaredError(reduction="none"), FourierAmplitudeLoss(reduction="none")):
        term = Regularizer(loss, 0.1, InverseSigmaGate(0.5), balance="gradient")
        denoising = (x0_hat - x0).abs().flatten(1).mean(1)
        shares.append(term(x0_hat, x0, sigma, 0, denoising).grad_share.item())
    assert shares == pytest.approx([0.1, 0.1], rel=1e-5)
