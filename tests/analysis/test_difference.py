import numpy as np
import pytest
import torch

from mmspec.analysis import figures
from mmspec.analysis.difference import amplitude_difference, log_amplitude


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 1, 7, 9), (5, 2, 32)])
def test_log_amplitude_is_numpys(shape):
    x = noise(*shape)
    axes = tuple(range(2, len(shape)))
    amplitude = np.abs(np.fft.fftn(x.double().numpy(), axes=axes, norm="ortho")).mean((0, 1))
    np.testing.assert_allclose(log_amplitude(x), np.fft.fftshift(20 * np.log10(amplitude)), atol=1e-9)


def test_twice_as_loud_is_six_decibels_everywhere():
    difference = amplitude_difference(noise(4, 1, 8, 8), 2 * noise(4, 1, 8, 8))
    np.testing.assert_allclose(difference.decibels, 20 * np.log10(2), atol=1e-6)
    assert difference.mean == pytest.approx(20 * np.log10(2))


def test_a_mean_value_does_not_count_and_silence_is_finite():
    x = noise(4, 1, 16)
    assert amplitude_difference(x, x + 100).mean == pytest.approx(0, abs=1e-4)
    assert torch.isfinite(amplitude_difference(x, torch.ones_like(x)).decibels).all()
    with pytest.raises(ValueError, match="one shape"):
        amplitude_difference(x, x[..., :8])


def test_the_figure_holds_samples_and_differences():
    x = noise(9, 3, 8, 8).clamp(-1, 1).numpy()
    decibels = np.random.default_rng(0).normal(size=(8, 8))
    figure = figures.differences({"real": x, "a": x, "b": x}, {"a": decibels, "b": 2 * decibels}, "cycles per image")
    mosaic = figure.axes[0].images[0].get_array()
    assert mosaic.shape == (24, 24, 3)
    np.testing.assert_allclose(mosaic[8:16, 16:], (np.moveaxis(x[5], 0, -1) + 1) / 2)
    drawn = figure.axes[5].images[0]
    np.testing.assert_array_equal(drawn.get_array(), 2 * decibels)
    assert drawn.get_clim() == (-2 * np.abs(decibels).max(), 2 * np.abs(decibels).max())
    assert tuple(drawn.get_extent()) == (-4.5, 3.5, 3.5, -4.5)  # frequency 0 is the pixel around 0

    clips = {"real": x[:, :, 0], "a": x[:, :, 0]}
    line = figures.differences(clips, {"a": decibels[0]}, "frequency (Hz)", step=50.0).axes[3].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [0, 50, 100, 150])
    np.testing.assert_array_equal(line.get_ydata(), decibels[0, 4:])
