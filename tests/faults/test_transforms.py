"""torch.func, forward mode and second derivatives, against losses written with `torch.fft` and no more."""

import math
from collections.abc import Callable

import pytest
import pywt
import torch
from torch import Tensor
from torch.autograd import forward_ad

from mmspec.losses import (
    FourierAmplitudeLoss,
    FourierAmplitudePhaseLoss,
    MultiResolutionSTFTLoss,
    SpectrumAwareDistillationLoss,
    WaveletLoss,
)
from mmspec.spectral.stft import spectrogram, stft

SIZES = [(36,), (35,), (12, 18), (11, 9)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def amplitude(x: Tensor, y: Tensor) -> Tensor:
    a, b = (torch.fft.fftn(z, dim=tuple(range(2, z.ndim)), norm="ortho") for z in (x, y))
    return (a.abs() - b.abs()).abs().mean()


def amplitude_phase(x: Tensor, y: Tensor) -> Tensor:
    a, b = (torch.fft.fftn(z, dim=tuple(range(2, z.ndim)), norm="ortho") for z in (x, y))
    return ((a.abs() - b.abs()).abs() * (1 + (a * b.conj()).angle().abs())).mean()


def amplitude_phase_norms(x: Tensor, y: Tensor) -> Tensor:
    a, b = (torch.fft.fftn(z, dim=tuple(range(2, z.ndim)), norm="ortho").flatten(1) for z in (x, y))
    return ((a.abs() - b.abs()).abs().mean(1) * (1 + (a * b.conj()).angle().abs().mean(1))).mean()


def windowed(x: Tensor, n: int = 8, hop: int = 3) -> Tensor:
    """Pieces of x, centred, times a Hann window: ``[B, C, *frames, *n]``."""
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(n, dtype=x.dtype) / n)
    x = torch.nn.functional.pad(x, (n // 2,) * 2 * (x.ndim - 2), mode="reflect")
    for axis in range(2, x.ndim):
        x = x.unfold(axis, n, hop)
    return x * window if x.ndim == 4 else x * window * window[:, None]


def plain_stft(x: Tensor) -> Tensor:
    """In the layout of `mmspec.spectral.stft.stft`."""
    dims = x.ndim - 2
    y = torch.fft.rfftn(windowed(x), dim=tuple(range(-dims, 0)))
    return y.movedim(tuple(range(-dims, 0)), tuple(range(2, 2 + dims)))


def multi_resolution(x: Tensor, y: Tensor) -> Tensor:
    a, b = (plain_stft(z).abs().clamp(min=1e-4).flatten(1) for z in (x, y))
    return ((b - a).norm(dim=1) / b.norm(dim=1) + (b.log() - a.log()).abs().mean(1)).mean()


def haar(x: Tensor, y: Tensor) -> Tensor:
    """One level, from sums and differences of neighbours."""
    z = x - y
    for axis in range(2, x.ndim):
        even, odd = (z.index_select(axis, torch.arange(start, z.shape[axis], 2)) for start in (0, 1))
        z = torch.cat((even + odd, even - odd), axis) / math.sqrt(2)
    return z.abs().mean()


PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "amplitude": (FourierAmplitudeLoss(), amplitude),
    "amplitude_phase": (FourierAmplitudePhaseLoss(), amplitude_phase),
    "amplitude_phase_norms": (FourierAmplitudePhaseLoss("norm"), amplitude_phase_norms),
    "stft": (MultiResolutionSTFTLoss((8,), (3,)), multi_resolution),
    "haar": (WaveletLoss(levels=1), haar),
}


def cases() -> list[tuple[str, tuple[int, ...]]]:
    return [(name, size) for name in PAIRS for size in SIZES if name != "haar" or all(n % 2 == 0 for n in size)]


@pytest.mark.parametrize(("name", "size"), cases())
def test_losses_under_every_transform(name: str, size: tuple[int, ...]) -> None:
    loss, plain = PAIRS[name]
    x, y, direction = (noise(3, 2, *size, seed=seed) for seed in range(3))

    def both(transform: Callable[[Callable[..., Tensor]], object]) -> None:
        torch.testing.assert_close(transform(loss), transform(plain))

    both(lambda f: f(x, y))
    both(lambda f: torch.func.grad(f, (0, 1))(x, y))
    both(lambda f: torch.func.grad_and_value(f)(x, y))
    both(lambda f: torch.func.jvp(lambda z: f(z, y), (x,), (direction,)))
    both(lambda f: torch.vmap(f)(x[:, None], y[:, None]))
    both(lambda f: torch.vmap(f, (0, None))(x[:, None], y[:1]))
    both(lambda f: torch.vmap(torch.func.grad(f))(x[:, None], y[:, None]))
    both(lambda f: torch.func.jvp(torch.func.grad(lambda z: f(z, y)), (x,), (direction,)))  # second derivatives
    both(lambda f: torch.func.vjp(lambda z: f(z, y), x)[1](torch.ones((), dtype=x.dtype)))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, direction)
        both(lambda f: forward_ad.unpack_dual(f(dual, y)).tangent)


@pytest.mark.parametrize(("name", "size"), cases())
def test_transforms_leave_nothing_behind(name: str, size: tuple[int, ...]) -> None:
    """Tables that a transform was the first to need serve ordinary training, which takes the fast way as before."""
    loss, plain = PAIRS[name]
    size = tuple(n + 6 for n in size)
    x, y = noise(2, 1, *size).requires_grad_(), noise(2, 1, *size, seed=1)
    torch.vmap(torch.func.grad(loss))(x.detach()[:, None], y[:, None])
    gradients = [torch.autograd.grad(f(x, y), x)[0] for f in (loss, plain)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", ["amplitude", "amplitude_phase", "amplitude_phase_norms", "stft"])
@pytest.mark.parametrize("size", [(36,), (12, 18)])
def test_silence_and_equality_have_finite_gradients_under_transforms_too(name: str, size: tuple[int, ...]) -> None:
    loss = PAIRS[name][0]
    silence, sound, faint = torch.zeros(1, 1, *size).double(), noise(1, 1, *size), 1e-200 * noise(1, 1, *size)
    for x, y in ((silence, sound), (sound, silence), (sound, sound), (silence, silence), (faint, sound)):
        gradients = torch.func.grad(loss, (0, 1))(x, y)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("size", SIZES)
def test_stft_is_linear_to_every_order(size: tuple[int, ...]) -> None:
    x, direction = noise(1, 1, *size).requires_grad_(), noise(1, 1, *size, seed=1)
    torch.testing.assert_close(stft(x, 8, 3), plain_stft(x))
    assert torch.autograd.gradgradcheck(lambda z: torch.view_as_real(stft(z, 8, 3)), x, fast_mode=True)
    # The Hessian of |stft|^4, by ordinary autograd and by torch.func.
    products = []
    for transform in (stft, lambda z, *_: plain_stft(z)):

        def energy(z: Tensor, transform: Callable[..., Tensor] = transform) -> Tensor:
            return transform(z, 8, 3).abs().pow(4).sum()

        (gradient,) = torch.autograd.grad(energy(x), x, create_graph=True)
        products.append(torch.autograd.grad((gradient * direction).sum(), x)[0])
        products.append(torch.func.jvp(torch.func.grad(energy), (x.detach(),), (direction,))[1])
    for product in products[1:]:
        torch.testing.assert_close(product, products[0])


@pytest.mark.parametrize("size", SIZES)
def test_operators_under_transforms(size: tuple[int, ...]) -> None:
    x, direction = noise(3, 2, *size), noise(3, 2, *size, seed=1)
    for ours, plain in (
        (lambda z: torch.view_as_real(stft(z, 8, 3)), lambda z: torch.view_as_real(plain_stft(z))),
        (lambda z: spectrogram(z, 8, 3), lambda z: plain_stft(z).abs()),
    ):
        torch.testing.assert_close(torch.vmap(ours)(x[:, None])[:, 0], plain(x))
        torch.testing.assert_close(torch.func.jvp(ours, (x,), (direction,)), torch.func.jvp(plain, (x,), (direction,)))
        one = x[:1, :1]
        torch.testing.assert_close(
            torch.autograd.functional.jacobian(ours, one, vectorize=True), torch.func.jacrev(plain)(one)
        )


@pytest.mark.parametrize("size", [(36,), (12, 18)])
def test_spectrum_aware_distillation_under_transforms(size: tuple[int, ...]) -> None:
    loss = SpectrumAwareDistillationLoss(dims=len(size), spatial=0.5, frequency=2.0).double()
    x, y, x0, direction = (noise(3, 2, *size, seed=seed) for seed in range(4))
    axes = tuple(range(2, x.ndim))
    shape = torch.fft.fftn(x0, dim=axes, norm="ortho").abs().mean(1, keepdim=True)
    omega = (shape / shape.mean(axes, keepdim=True)).clamp(min=0.01) ** -1
    omega = omega / omega.mean(axes, keepdim=True)

    def plain(z: Tensor) -> Tensor:
        powers = torch.fft.fftn(y - z, dim=axes, norm="ortho").abs().square()
        return (0.5 * (y - z).square() + 2 * omega * powers).mean()

    def ours(z: Tensor) -> Tensor:
        return loss(z, y, x0)

    torch.testing.assert_close(torch.func.grad_and_value(ours)(x), torch.func.grad_and_value(plain)(x))
    torch.testing.assert_close(torch.func.jvp(ours, (x,), (direction,)), torch.func.jvp(plain, (x,), (direction,)))
    hessians = (torch.func.jvp(torch.func.grad(f), (x,), (direction,))[1] for f in (ours, plain))
    torch.testing.assert_close(*hessians)
    each = torch.vmap(loss)(x[:, None], y[:, None], x0[:, None])
    torch.testing.assert_close(each.mean(), loss(x, y, x0))


@pytest.mark.parametrize("wavelet", ["db3", "bior1.3"])
@pytest.mark.parametrize("samples", [40, 300])
def test_longer_wavelets_under_transforms(wavelet: str, samples: int) -> None:
    loss, x, y = WaveletLoss(wavelet, levels=2), noise(3, 1, samples), noise(3, 1, samples, seed=1)
    per_sample = torch.vmap(torch.func.grad_and_value(loss))(x[:, None], y[:, None])
    for z, w, value in zip(x[:, 0], y[:, 0], per_sample[1], strict=True):
        bands = pywt.wavedec((z - w).numpy(), wavelet, "periodization", 2)
        expected = torch.cat([torch.from_numpy(band) for band in bands]).abs().mean()
        torch.testing.assert_close(value, expected)
    x.requires_grad_()
    torch.testing.assert_close(per_sample[0][:, 0] / 3, torch.autograd.grad(loss(x, y), x)[0])


def test_ordinary_second_derivatives_of_the_fast_ways_are_refused_with_the_mend() -> None:
    x = noise(1, 1, 16).requires_grad_()
    with pytest.raises(NotImplementedError, match="by torch"):
        torch.autograd.grad(spectrogram(x, 8, 4).sum(), x, create_graph=True)
