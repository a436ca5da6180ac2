"""Fourier operators against numpy's FFT, closed forms and Parseval's theorem."""

import numpy as np
import pytest
import torch

from mmspec.spectral import band_energy, frequencies_per_bin, radial_power_spectrum, spectrum

SIZES = [(1,), (2,), (15,), (16,), (1, 1), (1, 16), (8, 8), (7, 7), (12, 7), (6, 31), (2, 64)]


def signal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def mean_square(x: torch.Tensor) -> torch.Tensor:
    return x.square().flatten(2).mean(-1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
def test_spectrum_is_numpys(size: tuple[int, ...], norm: str) -> None:
    x = signal(2, 3, *size)
    amplitude, phase = spectrum(x, norm)
    expected = np.fft.fftn(x.numpy(), axes=tuple(range(2, x.ndim)), norm=norm)
    np.testing.assert_allclose(amplitude, np.abs(expected), atol=1e-12)
    np.testing.assert_allclose(torch.polar(amplitude, phase), expected, atol=1e-12)


def test_amplitude_does_not_notice_a_shift_and_phase_turns_with_it() -> None:
    x = signal(1, 1, 16)
    amplitude, phase = spectrum(x)
    shifted_amplitude, shifted_phase = spectrum(x.roll(3, -1))
    torch.testing.assert_close(shifted_amplitude, amplitude)
    turn = torch.exp(1j * (shifted_phase - phase))
    torch.testing.assert_close(turn[0, 0], torch.exp(-2j * torch.pi * 3 * torch.arange(16, dtype=torch.float64) / 16))


def test_silence_has_no_amplitude_no_phase_and_a_finite_gradient() -> None:
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    amplitude, phase = spectrum(x)
    assert not amplitude.any() and not phase.any()
    (amplitude.sum() + phase.sum()).backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("size", SIZES)
def test_radial_power_obeys_parseval(size: tuple[int, ...]) -> None:
    x = signal(2, 3, *size)
    frequencies, power = radial_power_spectrum(x)
    count = frequencies_per_bin(size)
    assert count.sum() == np.prod(size) and (count > 0).all()
    assert power.shape == (2, 3, len(frequencies)) and len(frequencies) == len(count)
    torch.testing.assert_close((power * count).sum(-1) / count.sum(), mean_square(x))


@pytest.mark.parametrize("size", SIZES)
def test_radial_power_averages_what_a_loop_averages(size: tuple[int, ...]) -> None:
    x = signal(1, 1, *size)
    power = np.abs(np.fft.fftn(x[0, 0].numpy(), norm="ortho")) ** 2
    bins: dict[int, list[float]] = {}
    for index in np.ndindex(*size):
        cycles = [min(k, n - k) * max(size) / n for k, n in zip(index, size, strict=True)]
        bins.setdefault(int(np.floor(np.round(np.hypot.reduce([0, *cycles]), 9) + 0.5)), []).append(power[index])
    expected = [np.mean(bins[k]) for k in sorted(bins)]
    np.testing.assert_allclose(radial_power_spectrum(x)[1][0, 0], expected, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 33), (16, 48), (48, 15)])
@pytest.mark.parametrize("cycles", [0, 1, 5, 7])
def test_a_wave_along_the_longer_side_lies_in_its_own_bin(height: int, width: int, cycles: int) -> None:
    if height > width:
        wave = torch.cos(2 * torch.pi * cycles * torch.arange(height) / height)[:, None].expand(height, width)
    else:
        wave = torch.cos(2 * torch.pi * cycles * torch.arange(width) / width).expand(height, width)
    frequencies, power = radial_power_spectrum(wave[None, None].double())
    energy = power[0, 0] * frequencies_per_bin((height, width))
    assert frequencies[energy.argmax()] == cycles
    torch.testing.assert_close(energy.max(), energy.sum())


def test_waves_of_one_pitch_have_one_radius_in_every_direction() -> None:
    across = torch.cos(2 * torch.pi * torch.arange(64) / 8).expand(32, 64)
    down = torch.cos(2 * torch.pi * torch.arange(32) / 8)[:, None].expand(32, 64)
    for wave in (across, down):
        frequencies, power = radial_power_spectrum(wave[None, None])
        assert frequencies[power[0, 0].argmax()] == 8  # 8 pixels a cycle, 64 pixels along the longer side


def test_white_noise_is_flat_at_its_variance_whatever_the_size() -> None:
    for size in ((64, 64), (33, 128), (4096,)):
        _, power = radial_power_spectrum(0.5 * signal(64, 1, *size))
        thirds = power.mean((0, 1)).tensor_split(3)
        assert all(abs(part.mean() - 0.25) < 0.02 for part in thirds)


def test_a_tone_is_found_at_its_frequency_in_hz() -> None:
    rate, seconds = 8000, 0.25
    time = torch.arange(int(rate * seconds)) / rate
    frequencies, power = radial_power_spectrum(torch.sin(2 * torch.pi * 440 * time)[None, None], sample_rate=rate)
    assert frequencies[power[0, 0].argmax()] == 440 and frequencies[-1] == rate / 2


def test_height_one_equals_1d() -> None:
    x = signal(2, 3, 17)
    for of_row, of_signal in (
        (radial_power_spectrum(x[:, :, None]), radial_power_spectrum(x)),
        (band_energy(x[:, :, None], 4), band_energy(x, 4)),
    ):
        torch.testing.assert_close(of_row, of_signal)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cutoff", [0, 2, 3.5, 1000])
def test_band_energies_add_to_the_mean_square(size: tuple[int, ...], cutoff: float) -> None:
    x = signal(2, 3, *size)
    low, high = band_energy(x, cutoff)
    assert low.shape == high.shape == (2, 3) and (low >= 0).all() and (high >= 0).all()
    torch.testing.assert_close(low + high, mean_square(x))


def test_band_energy_of_two_waves() -> None:
    column = torch.arange(49, dtype=torch.float64) / 49
    slow, fast = torch.cos(2 * torch.pi * 3 * column), torch.cos(2 * torch.pi * 11 * column)
    image = (2 * slow[None] + fast[:, None])[None, None]
    for cutoff, expected in ((2.9, 0.0), (3, 2.0), (10.9, 2.0), (11, 2.5)):
        low, high = band_energy(image, cutoff)
        torch.testing.assert_close(low.item(), expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(high.item(), 2.5 - expected, atol=1e-12, rtol=0)


def test_band_energy_in_hz() -> None:
    time = torch.arange(8000) / 8000
    x = (torch.sin(2 * torch.pi * 100 * time) + 3 * torch.sin(2 * torch.pi * 1000 * time))[None, None]
    low, high = band_energy(x, 500, sample_rate=8000)
    torch.testing.assert_close(low.item(), 0.5, rtol=1e-4, atol=0)
    torch.testing.assert_close(high.item(), 4.5, rtol=1e-4, atol=0)


def test_precision_follows_the_signal() -> None:
    x = signal(2, 1, 9, 8)
    for dtype, result in ((torch.float64,) * 2, (torch.float32,) * 2, (torch.bfloat16, torch.float32)):
        rounded = x.to(dtype)
        for part in (*spectrum(rounded), *radial_power_spectrum(rounded), *band_energy(rounded, 2)):
            assert part.dtype == result
        torch.testing.assert_close(spectrum(rounded)[0], spectrum(rounded.double())[0].to(result))


def test_gradients_are_right_and_grids_made_in_inference_mode_are_usable() -> None:
    x = signal(1, 2, 5, 6).requires_grad_()
    with torch.inference_mode():
        radial_power_spectrum(x), band_energy(x, 2)
    assert torch.autograd.gradcheck(lambda x: radial_power_spectrum(x)[1], x)
    assert torch.autograd.gradcheck(lambda x: band_energy(x, 2), x)


@pytest.mark.parametrize("operator", [spectrum, radial_power_spectrum, lambda x: band_energy(x, 2)])
def test_bad_input_is_named(operator) -> None:
    with pytest.raises(TypeError, match="uint8"):
        operator(torch.zeros(1, 1, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\[8, 8\]"):
        operator(torch.zeros(8, 8))
    with pytest.raises(ValueError, match=r"\[1, 1, 2, 2, 2\]"):
        operator(torch.zeros(1, 1, 2, 2, 2))


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match="sample_rate"):
        radial_power_spectrum(torch.zeros(1, 1, 8, 8), sample_rate=8000)
    with pytest.raises(ValueError, match="sample_rate"):
        band_energy(torch.zeros(1, 1, 8, 8), 3, sample_rate=8000)
    with pytest.raises(ValueError, match="-1"):
        band_energy(torch.zeros(1, 1, 8), -1)
