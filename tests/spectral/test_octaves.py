"""Energy by octave against loops over numpy's FFT, Parseval's theorem and single waves."""

import math

import numpy as np
import pytest
import scipy.fft
import torch

from mmspec.spectral import (
    frequencies_per_octave,
    mirrored,
    octave_edges,
    octave_energy,
    octave_part,
    octave_product,
    oriented_octave_energy,
    tapered,
)
from mmspec.spectral.octaves import ORIENTATIONS

SIZES = [(1,), (2,), (3,), (15,), (16,), (1, 1), (1, 16), (8, 8), (7, 7), (12, 7), (6, 31), (31, 6), (33, 64)]


def signal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def in_loops(x: np.ndarray) -> tuple[float, dict[tuple[int, str], float]]:
    """Energy of frequency 0, and by (octave from the top, orientation)."""
    power, size = np.abs(np.fft.fftn(x)) ** 2 / x.size**2, x.shape
    found: dict[tuple[int, str], float] = {}
    lowest = max(1, math.floor(math.log2(max(max(size) / 2, 1)))) - 1
    for index in np.ndindex(*size):
        pitch = [min(k, n - k) / n for k, n in zip(index, size, strict=True)]
        cycles = round(math.hypot(*pitch) * max(size), 6)
        if cycles == 0:
            continue
        octave = min(max(math.floor(math.log2(max(size) / 2 / cycles)), 0), lowest)
        degrees = round(math.degrees(math.atan2(pitch[0], pitch[-1])), 6) if len(size) == 2 else 0
        kind = "horizontal" if degrees <= 22.5 else "vertical" if degrees >= 67.5 else "diagonal"
        found[octave, kind] = found.get((octave, kind), 0) + power[index]
    return power.flat[0], found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_are_those_of_loops_and_obey_parseval(size: tuple[int, ...], dtype: torch.dtype) -> None:
    x = signal(2, 3, *size, dtype=dtype) + 0.3
    energy = octave_energy(x)
    mean, expected = in_loops(x[1, 2].numpy().astype(float))
    octaves = len(octave_edges(size)) - 1
    loops = [sum(v for (octave, _), v in expected.items() if octave == k) for k in reversed(range(octaves))]
    np.testing.assert_allclose(energy[1, 2], loops, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(energy.sum(-1) + x.flatten(2).mean(-1).square(), x.square().flatten(2).mean(-1))
    assert mean == pytest.approx(x[1, 2].mean().item() ** 2, rel=1e-4)
    if len(size) == 2:
        oriented = oriented_octave_energy(x)
        loops = [[expected.get((k, kind), 0) for kind in ORIENTATIONS] for k in reversed(range(octaves))]
        np.testing.assert_allclose(oriented[1, 2], loops, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("size", SIZES)
def test_what_two_signals_share_is_their_polarization(size: tuple[int, ...]) -> None:
    x, y = signal(2, 3, *size), signal(4, 3, *size)[2:]
    polarized = (octave_energy(x + y) - octave_energy(x - y)) / 4
    torch.testing.assert_close(octave_product(x, y), polarized)
    with pytest.raises(ValueError, match="one shape"):
        octave_product(x, y[:1])


def test_edges_are_octaves_below_half_the_sampling_frequency() -> None:
    assert octave_edges((64, 64)) == [0, 2, 4, 8, 16, 32]
    assert octave_edges((100, 40)) == [0, 3.125, 6.25, 12.5, 25, 50]
    assert octave_edges((1024,), 7) == [0, 8, 16, 32, 64, 128, 256, 512]
    assert octave_edges((1,)) == [0, 0.5]
    with pytest.raises(ValueError, match="count of octaves must be 1 or more, not 0"):
        octave_edges((8, 8), 0)


@pytest.mark.parametrize(("cycles", "octave"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (16, 3), (17, 4), (32, 4)])
def test_an_octave_includes_its_upper_edge(cycles: int, octave: int) -> None:
    wave = torch.cos(2 * torch.pi * cycles * torch.arange(64) / 64).double()
    assert octave_energy(wave[None, None]).argmax() == octave
    assert octave_energy(wave.expand(64, 64)[None, None]).argmax() == octave


def test_white_noise_has_its_power_at_every_frequency() -> None:
    x = signal(64, 1, 32, 32)
    share = frequencies_per_octave((32, 32)) / 1024
    torch.testing.assert_close(octave_energy(x).mean((0, 1)).float(), share, rtol=0.15, atol=0)
    torch.testing.assert_close(octave_energy(tapered(x)).mean((0, 1)).float()[1:], share[1:], rtol=0.15, atol=0)


def test_lines_have_the_orientation_of_the_waves_across_them() -> None:
    wave = torch.cos(2 * torch.pi * 5 * torch.arange(32) / 32).double().expand(32, 32)[None, None]
    assert oriented_octave_energy(wave)[0, 0].sum(0).argmax() == ORIENTATIONS.index("horizontal")
    assert oriented_octave_energy(wave.mT)[0, 0].sum(0).argmax() == ORIENTATIONS.index("vertical")
    assert oriented_octave_energy(wave * wave.mT)[0, 0].sum(0).argmax() == ORIENTATIONS.index("diagonal")
    with pytest.raises(ValueError, match=r"pictures \[B, C, H, W\], not of the shape \[1, 1, 8\]"):
        oriented_octave_energy(torch.zeros(1, 1, 8))


def test_a_taper_keeps_the_energy_of_a_ramp_where_it_is() -> None:
    """The ends of a ramp differ: its transform has a step in it, 24 dB above the tapered one in the highest octave."""
    ramp = torch.linspace(-1, 1, 256, dtype=torch.float64).expand(256, 256)[None, None]
    plain, faded = octave_energy(ramp)[0, 0], octave_energy(tapered(ramp))[0, 0]
    assert 10 * (plain[-1] / plain.sum()).log10() > -30
    assert 10 * (faded[-1] / faded.sum()).log10() < -90


@pytest.mark.parametrize("size", [(9,), (8, 8), (7, 12)])
def test_mirrored_signals_have_the_energies_of_the_cosine_transform(size: tuple[int, ...]) -> None:
    x = signal(1, 1, *size)
    coefficients = scipy.fft.dctn(x[0, 0].numpy(), norm="ortho") ** 2 / math.prod(size)
    pitch = np.meshgrid(*[np.arange(n) / (2 * n) for n in size], indexing="ij")  # cycles per sample
    cycles = np.sqrt(sum(each**2 for each in pitch)) * max(size)
    edges = octave_edges(size)
    index = np.searchsorted(edges[1:-1], cycles.round(6)) + 1
    expected = [coefficients[(index == k) & (cycles > 0)].sum() for k in range(1, len(edges))]
    np.testing.assert_allclose(octave_energy(mirrored(x), len(edges) - 1)[0, 0], expected, atol=1e-12)


def test_gradients_are_finite_at_silence() -> None:
    x = torch.zeros(2, 1, 9, 8, requires_grad=True)
    (octave_energy(tapered(x)).sum() + oriented_octave_energy(x).sum()).backward()
    assert not x.grad.any()


@pytest.mark.parametrize("size", [(48,), (16, 12), (15, 9)])
def test_parts_of_all_octaves_and_the_mean_make_the_signal(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = tuple(range(2, x.ndim))
    energy = octave_energy(x)
    parts = [octave_part(x, octave) for octave in range(energy.shape[-1])]
    torch.testing.assert_close(sum(parts) + x.mean(axes, keepdim=True), x)
    for octave, part in enumerate(parts):
        alone = torch.zeros_like(energy)
        alone[..., octave] = energy[..., octave]
        torch.testing.assert_close(octave_energy(part), alone)


@pytest.mark.parametrize("octave", [-1, 3])
def test_there_is_no_octave_above_the_highest(octave):
    with pytest.raises(ValueError, match="octave must be 0 to 2"):
        octave_part(torch.zeros(1, 1, 16), octave)
