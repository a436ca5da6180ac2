"""Transfer of noise between octaves, against a cosine transform of SciPy's."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch.nn.functional import interpolate

from mmspec.analysis.band_transfer import band_transfer, octave_noise
from mmspec.spectral import octave_energy


def cosine_energy(x):
    """``[octaves]``: mean square of a picture ``[C, H, W]`` by octaves below half a cycle per pixel."""
    _, height, width = x.shape
    rows, columns = np.meshgrid(np.arange(height) / 2 / height, np.arange(width) / 2 / width, indexing="ij")
    cycles = np.hypot(rows, columns)  # per pixel
    energy = (dctn(x, axes=(1, 2), norm="ortho") ** 2).mean(0) / (height * width)
    count = int(np.log2(max(height, width) / 2))
    octave = np.clip(np.ceil(np.log2(np.maximum(cycles, 1e-9)) + 1 + count - 1), 0, count - 1).astype(int)
    return np.array([energy[(octave == index) & (cycles > 0)].sum() for index in range(count)])


@pytest.mark.parametrize("octave", [0, 2])
def test_noise_has_one_octave_and_unit_power(octave):
    noise = octave_noise(torch.zeros(3, 2, 16, 16), octave, torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise.square().mean((1, 2, 3)), torch.ones(3))
    energy = octave_energy(noise).sum(1)
    torch.testing.assert_close(energy[:, octave] / energy.sum(1), torch.ones(3))


def test_what_changes_is_counted_by_octave():
    """Of a function that is no linear one and makes signals twice as large."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 16, 8, generator=generator, dtype=torch.float64)

    def function(x):
        return torch.tanh(interpolate(x, scale_factor=2, mode="nearest"))[:, :2]

    found = band_transfer(function, x, [0.5, 2.0], torch.Generator().manual_seed(2))
    assert found.shape == (2, 2, 3, 4) and found.dtype == torch.float64
    again = torch.Generator().manual_seed(2)
    for octave in range(3):
        noise = octave_noise(x, octave, again)
        for index, level in enumerate([0.5, 2.0]):
            change = (function(x + level * noise) - function(x)) / level
            for sample in range(2):
                expected = cosine_energy(change[sample].numpy())
                np.testing.assert_allclose(found[sample, index, octave], expected, rtol=1e-9, atol=1e-12)


def test_a_linear_function_is_the_same_at_all_levels():
    x = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, three = (
        band_transfer(function, x, [0.1, 1.0], torch.Generator().manual_seed(0))
        for function in (lambda x: x, lambda x: 3 * x)
    )
    torch.testing.assert_close(one[:, 0], one[:, 1])
    torch.testing.assert_close(three, 9 * one)
    assert (one[0, 0].diagonal() / one[0, 0].sum(1) > 0.8).all()
