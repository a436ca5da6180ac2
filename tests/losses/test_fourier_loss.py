"""Fourier losses against their definition on the full spectrum, values and gradients by torch's own autograd."""

import math

import pytest
import torch
from torch import Tensor

from mmspec.losses import FourierAmplitudeLoss, FourierAmplitudePhaseLoss

COUPLINGS = [None, "frequency", "norm"]
SIZES = [(1,), (2,), (8,), (9,), (1, 1), (1, 8), (8, 1), (6, 6), (5, 7), (4, 9), (9, 4)]


def build(coupling: str | None, norm: str = "ortho", reduction: str = "mean") -> FourierAmplitudeLoss:
    if coupling is None:
        return FourierAmplitudeLoss(norm, reduction)
    return FourierAmplitudePhaseLoss(coupling, norm, reduction)


def definition(input: Tensor, target: Tensor, coupling: str | None, norm: str, reduction: str) -> Tensor:
    """Equations 14 and 15, frequency by frequency of the full spectrum."""
    axes, sample = tuple(range(2, input.ndim)), tuple(range(1, input.ndim))
    predicted, clean = (torch.fft.fftn(x, dim=axes, norm=norm) for x in (input, target))
    gap = (predicted.abs() - clean.abs()).abs()
    error = (clean * predicted.conj()).angle().abs()
    total = torch.sum if reduction == "sum" else torch.mean
    if coupling == "norm":
        values = total(gap, sample) * (1 + total(error, sample))
    else:
        values = total(gap * (1 + error) if coupling else gap, sample)
    return {"mean": values.mean(), "sum": values.sum(), "none": values}[reduction]


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*shape, dtype=dtype, generator=generator).requires_grad_() for _ in range(2))


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_values_and_gradients_are_those_of_the_definition(coupling: str | None, norm: str, reduction: str) -> None:
    for size in SIZES:
        input, target = pair(3, 2, *size)
        value = build(coupling, norm, reduction)(input, target)
        expected = definition(input, target, coupling, norm, reduction)
        torch.testing.assert_close(value, expected, rtol=1e-11, atol=1e-12)
        weights = torch.arange(1.0, 1 + value.numel(), dtype=value.dtype).view(value.shape)
        gradients = torch.autograd.grad((value * weights).sum(), (input, target))
        expected = torch.autograd.grad((expected * weights).sum(), (input, target))
        torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("size", [(6,), (7,), (4, 4), (3, 5)])
def test_gradcheck(coupling: str | None, size: tuple[int, ...]) -> None:
    assert torch.autograd.gradcheck(build(coupling), pair(2, 1, *size))


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_only_the_signal_that_needs_a_gradient_gets_one(coupling: str | None) -> None:
    input, target = pair(2, 1, 8, 8)
    both = torch.autograd.grad(build(coupling)(input, target), (input, target))
    (alone,) = torch.autograd.grad(build(coupling)(input, target.detach()), input)
    (other,) = torch.autograd.grad(build(coupling)(input.detach(), target), target)
    assert torch.equal(alone, both[0]) and torch.equal(other, both[1])
    assert not build(coupling)(input.detach(), target.detach()).requires_grad


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_backward_twice_through_one_graph(coupling: str | None) -> None:
    input, target = pair(2, 1, 8)
    value = build(coupling)(input, target)
    first = torch.autograd.grad(value, input, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(value, input), first)


def test_second_derivatives_are_refused() -> None:
    input, target = pair(1, 1, 8)
    with pytest.raises(NotImplementedError, match="create_graph"):
        torch.autograd.grad(FourierAmplitudeLoss()(input, target), input, create_graph=True)


def test_closed_forms_of_a_scaled_and_a_shifted_wave() -> None:
    n, k = 32, 5
    time = torch.arange(n, dtype=torch.float64)
    wave, shifted = (torch.cos(2 * math.pi * k * (time - delay) / n)[None, None] for delay in (0, 1))
    peak = math.sqrt(n) / 2  # orthonormal amplitude at each of the frequencies k and -k
    turn = 2 * math.pi * k / n
    amplitude, coupled = FourierAmplitudeLoss(reduction="sum"), FourierAmplitudePhaseLoss(reduction="sum")
    torch.testing.assert_close(amplitude(3 * wave, wave).item(), 4 * peak, atol=1e-10, rtol=0)
    torch.testing.assert_close(amplitude(shifted, wave).item(), 0.0, atol=1e-10, rtol=0)
    torch.testing.assert_close(coupled(3 * wave, wave).item(), 4 * peak, atol=1e-10, rtol=0)
    torch.testing.assert_close(coupled(3 * shifted, wave).item(), 4 * peak * (1 + turn), atol=1e-10, rtol=0)


def test_phase_differences_are_wrapped() -> None:
    """Phases of 3 and -3 radians differ by 2 pi - 6, not by 6."""
    time = 2 * math.pi * 4 * torch.arange(16, dtype=torch.float64) / 16
    a, b = (2 * torch.cos(time + 3))[None, None], torch.cos(time - 3)[None, None]
    expected = 2 * math.sqrt(16) / 2 * (1 + 2 * math.pi - 6)
    torch.testing.assert_close(FourierAmplitudePhaseLoss(reduction="sum")(a, b).item(), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (4096,)])
def test_of_white_noise_the_value_is_known_whatever_the_size(size: tuple[int, ...]) -> None:
    """Amplitudes of unit noise follow Rayleigh's law; the mean difference of two is sqrt(pi) (1 - sqrt(1/2))."""
    input, target = pair(16, 2, *size, dtype=torch.float32)
    expected = math.sqrt(math.pi) * (1 - math.sqrt(0.5))
    assert FourierAmplitudeLoss()(input, target).item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("size", [(16,), (15,), (8, 8), (7, 9)])
def test_l2_of_the_spectra_is_mse_and_l1_is_not_l1(size: tuple[int, ...]) -> None:
    """Parseval's theorem: a squared distance of orthonormal spectra would only repeat the pixel loss."""
    input, target = pair(2, 1, *size)
    axes = tuple(range(2, input.ndim))
    difference = torch.fft.fftn(input - target, dim=axes, norm="ortho").abs()
    torch.testing.assert_close(difference.square().mean(), (input - target).square().mean())
    (of_l2,) = torch.autograd.grad(difference.square().mean(), input, retain_graph=True)
    (of_mse,) = torch.autograd.grad((input - target).square().mean(), input)
    torch.testing.assert_close(of_l2, of_mse)
    for loss in (FourierAmplitudeLoss(), FourierAmplitudePhaseLoss()):
        (of_loss,) = torch.autograd.grad(loss(input, target), input)
        for of_pixels in (of_mse, (input - target).sign()):
            cosine = torch.cosine_similarity(of_loss.flatten(), of_pixels.flatten(), dim=0)
            assert cosine < 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("size", [(64,), (15,), (16, 16), (7, 5)])
def test_gradients_are_bounded_where_amplitudes_vanish(
    dtype: torch.dtype, coupling: str | None, size: tuple[int, ...]
) -> None:
    """No frequency's gradient exceeds what its share allows: 1 + pi by amplitude, 1 / sqrt(eps) by phase."""
    noise = torch.randn(2, 1, *size, dtype=dtype, generator=torch.Generator().manual_seed(0))
    silence, flat = torch.zeros_like(noise), torch.full_like(noise, 0.3)
    signals = (noise, silence, -silence, flat, 1e-12 * noise, 1e-25 * noise)
    bound = 5 + torch.finfo(dtype).eps ** -0.5
    for input in signals:
        for target in signals:
            input, target = input.detach().requires_grad_(), target.detach().requires_grad_()
            value = build(coupling, reduction="sum" if coupling != "norm" else "mean")(input, target)
            gradients = torch.autograd.grad(value, (input, target))
            assert torch.isfinite(value)
            for gradient in gradients:
                at_frequencies = torch.fft.fftn(gradient, dim=tuple(range(2, gradient.ndim)), norm="ortho")
                assert at_frequencies.abs().max() < bound


@pytest.mark.parametrize("coupling", ["frequency", "norm"])
@pytest.mark.parametrize("silent", [0.0, -0.0])
def test_a_missing_component_has_no_phase_error(coupling: str, silent: float) -> None:
    noise = pair(2, 1, 9, 8)[0].detach()
    silence = torch.full_like(noise, silent)
    amplitude = FourierAmplitudeLoss()(silence, noise)
    for input, target in ((silence, noise), (noise, silence), (silence, -noise)):
        torch.testing.assert_close(build(coupling)(input, target), amplitude)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="'orthogonal'"):
        FourierAmplitudeLoss(norm="orthogonal")
    with pytest.raises(ValueError, match="'product'"):
        FourierAmplitudePhaseLoss(coupling="product")
