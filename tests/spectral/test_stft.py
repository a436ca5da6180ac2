"""The short-time Fourier transform against torch's and scipy's in 1D, and a loop over patches in 2D."""

import numpy as np
import pytest
import scipy.signal
import torch

from mmspec.spectral import spectrogram, stft

# (n_fft, hop_length, win_length): even and odd, short windows, hops that do and do not divide.
FRAMINGS = [(64, 16, None), (64, 10, 40), (65, 16, 65), (33, 7, 20), (16, 16, 5), (16, 40, 16)]


def signal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def patches(x: torch.Tensor, n_fft: int, hop: int, win_length: int | None) -> np.ndarray:
    """Windowed Fourier transforms of the patches of one image, one after the other."""
    win_length = win_length or n_fft
    before = (n_fft - win_length) // 2
    window = np.zeros(n_fft)
    window[before : before + win_length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
    padded = np.pad(x.numpy(), n_fft // 2, mode="reflect")
    rows, columns = ((n - n_fft) // hop + 1 for n in padded.shape)
    result = np.empty((n_fft, n_fft // 2 + 1, rows, columns), dtype=complex)
    for i in range(rows):
        for j in range(columns):
            patch = padded[i * hop : i * hop + n_fft, j * hop : j * hop + n_fft]
            result[:, :, i, j] = np.fft.rfft2(patch * np.outer(window, window))
    return result


@pytest.mark.parametrize(("n_fft", "hop", "win_length"), FRAMINGS)
@pytest.mark.parametrize("name", ["hann", "hamming", "blackman"])
def test_1d_is_torchs(n_fft: int, hop: int, win_length: int | None, name: str) -> None:
    x = signal(2, 3, 203)
    window = getattr(torch, f"{name}_window")(win_length or n_fft, dtype=torch.float64)
    expected = torch.stft(x.flatten(0, 1), n_fft, hop, win_length, window, return_complex=True, pad_mode="reflect")
    expected = expected.unflatten(0, (2, 3))
    torch.testing.assert_close(stft(x, n_fft, hop, name, win_length), expected)
    torch.testing.assert_close(spectrogram(x, n_fft, hop, name, win_length), expected.abs())


def test_1d_is_scipys() -> None:
    x, window = signal(1, 1, 2000), scipy.signal.get_window("hann", 256)
    expected = scipy.signal.stft(
        x[0, 0].numpy(), window=window, nperseg=256, noverlap=192, boundary="even", padded=False
    )[2]
    np.testing.assert_allclose(stft(x, 256, 64)[0, 0], expected * window.sum(), atol=1e-10)


@pytest.mark.parametrize(("n_fft", "hop", "win_length"), [(8, 4, None), (16, 8, 12), (9, 3, 9), (7, 5, 4), (4, 6, 4)])
@pytest.mark.parametrize("size", [(16, 16), (21, 10), (9, 32)])
def test_2d_is_a_loop_over_patches(n_fft: int, hop: int, win_length: int | None, size: tuple[int, int]) -> None:
    x = signal(2, 3, *size)
    expected = np.stack([[patches(image, n_fft, hop, win_length) for image in sample] for sample in x])
    np.testing.assert_allclose(stft(x, n_fft, hop, win_length=win_length), expected, atol=1e-11)
    np.testing.assert_allclose(spectrogram(x, n_fft, hop, win_length=win_length), np.abs(expected), atol=1e-11)


@pytest.mark.parametrize(("n_fft", "hop", "win_length"), FRAMINGS)
def test_spectrogram_gradient_is_that_of_abs_1d(n_fft: int, hop: int, win_length: int | None) -> None:
    x = signal(2, 2, 90).requires_grad_()
    compare_gradients(x, n_fft, hop, win_length)


@pytest.mark.parametrize(("n_fft", "hop", "win_length"), [(8, 4, None), (16, 5, 11), (9, 3, 9), (4, 6, 4)])
def test_spectrogram_gradient_is_that_of_abs_2d(n_fft: int, hop: int, win_length: int | None) -> None:
    x = signal(2, 2, 17, 14).requires_grad_()
    compare_gradients(x, n_fft, hop, win_length)


def compare_gradients(x: torch.Tensor, n_fft: int, hop: int, win_length: int | None) -> None:
    magnitude = spectrogram(x, n_fft, hop, win_length=win_length)
    weights = torch.randn(magnitude.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((magnitude * weights).sum(), x)
    (expected,) = torch.autograd.grad((stft(x, n_fft, hop, win_length=win_length).abs() * weights).sum(), x)
    torch.testing.assert_close(gradient, expected)


def test_floor_raises_magnitudes_and_stops_gradients() -> None:
    x = signal(1, 1, 64).requires_grad_()
    magnitude = spectrogram(x, 16, 8, floor=2.0)
    plain = stft(x, 16, 8).abs().clamp(min=2.0)
    torch.testing.assert_close(magnitude, plain)
    assert (magnitude == 2).any() and (magnitude > 2).any()
    torch.testing.assert_close(torch.autograd.grad(magnitude.sum(), x), torch.autograd.grad(plain.sum(), x))


@pytest.mark.parametrize("size", [(64,), (16, 16)])
def test_gradient_is_finite_at_silence(size: tuple[int, ...]) -> None:
    x = torch.zeros(1, 1, *size, requires_grad=True)
    spectrogram(x, 8, 4).sum().backward()
    assert not x.grad.any()


def test_precision_follows_the_signal() -> None:
    for dtype, result in ((torch.float64, torch.complex128), (torch.float32, torch.complex64)):
        assert stft(signal(1, 1, 64).to(dtype), 16, 8).dtype == result
    coarse = signal(1, 1, 64).bfloat16()
    torch.testing.assert_close(stft(coarse, 16, 8), stft(coarse.float(), 16, 8))
    assert spectrogram(coarse, 16, 8).dtype == torch.float32


@pytest.mark.parametrize("operator", [stft, spectrogram])
def test_bad_input_is_named(operator) -> None:
    x = torch.zeros(1, 1, 64)
    with pytest.raises(TypeError, match="int16"):
        operator(x.short(), 16, 8)
    with pytest.raises(ValueError, match=r"\[64\]"):
        operator(torch.zeros(64), 16, 8)
    with pytest.raises(ValueError, match=r"n_fft=128.*\[64\]"):
        operator(x, 128, 8)
    with pytest.raises(ValueError, match="win_length=17"):
        operator(x, 16, 8, win_length=17)
    with pytest.raises(ValueError, match="win_length=0"):
        operator(x, 16, 8, win_length=0)
    with pytest.raises(ValueError, match="hop_length=0"):
        operator(x, 16, 0)
    with pytest.raises(ValueError, match="hann, hamming, blackman, not 'square'"):
        operator(x, 16, 8, window="square")
