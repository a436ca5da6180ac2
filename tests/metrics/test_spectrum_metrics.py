import math

import numpy as np
import pytest
import torch

from mmspec.metrics.spectrum import (
    MeanSpectrum,
    Spectrum,
    default_cutoff,
    frequency_bias,
    frequency_error,
    log_spectral_distance,
    spectral_difference,
)


def noise(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mean_spectrum(x, sample_rate=None, batch_size=None):
    mean = MeanSpectrum(sample_rate)
    for batch in x.split(batch_size or len(x)):
        mean.update(batch)
    return mean.result()


def circular_smoothing(x, a):
    """[a, 1 - 2a, a] over the last axis: gain 1 - 2a + 2a cos(w)."""
    return (1 - 2 * a) * x + a * (x.roll(1, -1) + x.roll(-1, -1))


@pytest.mark.parametrize(("shape", "rate"), [((200, 3, 17, 17), None), ((300, 1, 2000), 8000)])
def test_white_noise_has_its_variance_at_every_frequency(shape, rate):
    spectrum = mean_spectrum(noise(*shape, scale=0.3), rate)
    assert spectrum.power[1:-1].numpy() == pytest.approx(0.09, rel=0.12)
    assert spectrum.power.mean().item() == pytest.approx(0.09, rel=0.02)
    assert spectrum.frequency[0] == 0 and (spectrum.frequency.diff() > 0).all()


def test_spectrum_of_pictures_is_the_ring_average_that_numpy_finds():
    x = noise(5, 2, 12, 12)
    power = np.abs(np.fft.fft2(x.double().numpy(), norm="ortho")) ** 2
    cycles = np.fft.fftfreq(12) * 12
    ring = np.floor(np.hypot(cycles[:, None], cycles[None, :]) + 0.5).astype(int)
    expected = [power[..., ring == r].mean() for r in range(ring.max() + 1)]
    spectrum = mean_spectrum(x)
    assert spectrum.power.numpy() == pytest.approx(expected, rel=1e-5)
    assert spectrum.frequency.tolist() == list(range(ring.max() + 1))
    assert spectrum.unit == "cycles/image"


def test_audio_bands_span_zero_to_nyquist_in_hz():
    spectrum = mean_spectrum(noise(2, 1, 4000), sample_rate=8000)
    assert spectrum.unit == "Hz" and len(spectrum.frequency) == 129
    assert 0 < spectrum.frequency[1] < 4000 / 128 and 4000 - 4000 / 128 < spectrum.frequency[-1] <= 4000


def test_short_clips_have_a_band_for_each_bin():
    assert mean_spectrum(noise(2, 1, 7), sample_rate=70).frequency.tolist() == [0, 10, 20, 30]


@pytest.mark.parametrize("rate", [None, 8000])
def test_batches_do_not_change_the_mean(rate):
    x = noise(7, 2, 9, 8) if rate is None else noise(7, 2, 333)
    whole, parts = mean_spectrum(x, rate), mean_spectrum(x, rate, batch_size=3)
    assert parts.power.numpy() == pytest.approx(whole.power.numpy(), rel=1e-6)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_gain_is_a_distance_of_its_decibels_at_every_frequency(gain):
    x = noise(6, 3, 16, 16)
    real, louder = mean_spectrum(x), mean_spectrum(gain * x)
    decibels = 20 * math.log10(gain)
    assert log_spectral_distance(real, louder) == pytest.approx(abs(decibels), abs=1e-4)
    assert frequency_error(real, louder, 4) == pytest.approx([abs(decibels)] * 2, abs=1e-4)
    assert frequency_bias(real, louder, 4) == pytest.approx([decibels] * 2, abs=1e-4)


def test_smoothing_has_the_distance_of_its_transfer_function():
    x = noise(40, 1, 4000)
    real, blurred = mean_spectrum(x, 8000), mean_spectrum(circular_smoothing(x, 0.1), 8000)
    w = 2 * np.pi * real.frequency[1:].numpy() / 8000
    expected = 20 * np.log10(0.8 + 0.2 * np.cos(w))
    frequency, difference = spectral_difference(real, blurred)
    assert difference.numpy() == pytest.approx(expected, abs=0.02)
    assert log_spectral_distance(real, blurred) == pytest.approx(np.sqrt((expected**2).mean()), abs=0.01)
    low = frequency.numpy() <= 1000
    assert frequency_error(real, blurred, 1000) == pytest.approx(
        [-expected[low].mean(), -expected[~low].mean()], abs=0.01
    )


def test_signs_say_which_side_lacks_energy():
    x = noise(30, 1, 24, 24)
    blurred = circular_smoothing(circular_smoothing(x, 0.2).transpose(2, 3), 0.2).transpose(2, 3)
    low, high = frequency_bias(mean_spectrum(x), mean_spectrum(blurred), cutoff=3)
    assert high < low < 0
    low, high = frequency_bias(mean_spectrum(blurred), mean_spectrum(x), cutoff=3)
    assert high > low > 0


def test_frequency_zero_does_not_count():
    x = noise(4, 1, 16, 16)
    assert log_spectral_distance(mean_spectrum(x), mean_spectrum(x + 3)) == pytest.approx(0, abs=1e-3)


def test_empty_bands_do_not_count():
    t = torch.arange(800) / 8000
    tone = torch.sin(2 * torch.pi * 1000 * t).expand(2, 1, -1).double()
    rounded = tone + 1e-9 * noise(2, 1, 800)
    assert log_spectral_distance(mean_spectrum(tone, 8000), mean_spectrum(rounded, 8000)) == pytest.approx(0, abs=1e-6)


def test_cutoff_scales_with_size():
    assert default_cutoff(256) == 28
    assert default_cutoff(32) == 3.5
    assert default_cutoff(8000) == 875


@pytest.mark.parametrize("cutoff", [0.0, 100.0])
def test_a_cutoff_outside_the_spectrum_is_refused(cutoff):
    spectrum = mean_spectrum(noise(2, 1, 8, 8))
    with pytest.raises(ValueError, match="one side empty"):
        frequency_error(spectrum, spectrum, cutoff)


def test_other_frequencies_are_refused():
    with pytest.raises(ValueError, match="same frequencies"):
        log_spectral_distance(mean_spectrum(noise(2, 1, 8, 8)), mean_spectrum(noise(2, 1, 12, 12)))
    hz = Spectrum("Hz", torch.arange(3.0), torch.ones(3))
    with pytest.raises(ValueError, match="same frequencies"):
        log_spectral_distance(hz, Spectrum("cycles/image", torch.arange(3.0), torch.ones(3)))


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        MeanSpectrum().result()
