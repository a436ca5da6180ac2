"""The filter that a denoiser is: what the optimal linear one would let pass, and what a trained one does."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from mmspec.diffusion.denoiser import expand_sigma
from mmspec.metrics.spectrum import AUDIO_BANDS
from mmspec.spectral import radial_power_spectrum
from mmspec.spectral.fourier import frequencies_per_bin


def power_law(frequency: Tensor, amplitude: float = 1.0, alpha: float = 2.0) -> Tensor:
    """``A f^-alpha``, the power spectrum of natural pictures (Diffusion Probabilistic Model Made Slim, figure 3).

    In the shape of the frequencies f.
    """
    return amplitude * frequency**-alpha


def wiener_filter(power: Tensor, abar: float | Tensor) -> Tensor:
    """``sqrt(abar) S / (abar S + 1 - abar)``: the linear filter that best takes ``sqrt(abar) x0 + sqrt(1 - abar) n``
    back to x0 (Diffusion Probabilistic Model Made Slim, Eq. 6).

    Args:
        power: S, the power spectrum of x0, where white noise of variance 1 has 1, of any shape.
        abar: in (0, 1].

    Returns:
        Gains, in the shape of ``power``.
    """
    abar = torch.as_tensor(abar)
    return abar.sqrt() * power / (abar * power + 1 - abar)


class Filter(NamedTuple):
    """Gains by frequency, ``[bins]`` float64 each.

    Attributes:
        unit: "cycles/image" or "Hz".
        frequency: ascending from 0.
        measured: of the denoiser.
        predicted: ``S / (S + sigma^2)`` with the power spectrum S of the same clean signals.
    """

    unit: str
    frequency: Tensor
    measured: Tensor
    predicted: Tensor


class FilterEstimate:
    """The filter of a denoiser at one noise level: D(x; sigma) regressed on x, frequency by frequency.

    The gain at a frequency is ``sum conj(X) F[D] / sum |X|^2`` over signals, channels and all frequencies of one
    radius; it is real, as opposite frequencies are conjugate. For the exact denoiser its mean is
    ``S / (S + sigma^2)``, of whatever distribution the signals are, because D = E[x0 | x] makes
    ``E[conj(X) F[D]] = E[conj(X) X0] = S``: a gain that is off says that the denoiser is, at this frequency.

    Args:
        sample_rate: Hz of audio, which is gathered in 128 bands; None for pictures.
    """

    def __init__(self, sample_rate: int | None = None) -> None:
        self.sample_rate = sample_rate
        self._frequency = torch.zeros(0)
        self._sums: Tensor | None = None

    def update(self, x0: Tensor, noisy: Tensor, denoised: Tensor, sigma: float) -> None:
        """Add a batch: clean, noisy and denoised signals, each ``[B, C, *spatial]``."""
        clean, x, d = (signal.detach().cpu().double() for signal in (x0, noisy, denoised))
        count = frequencies_per_bin(x.shape[2:])

        def power(signal: Tensor) -> Tensor:
            self._frequency, mean = radial_power_spectrum(signal, sample_rate=self.sample_rate)
            return (mean * count).sum((0, 1))

        noise = sigma**2 * len(x) * x.shape[1] * count
        cross = (power(x + d) - power(x - d)) / 4  # Re conj(X) F[D], by polarization
        sums = torch.stack([cross, power(x), power(clean), noise])
        self._sums = sums if self._sums is None else self._sums + sums

    def result(self) -> Filter:
        """The gains so far; ValueError before the first batch."""
        if self._sums is None:
            raise ValueError("a filter is estimated from at least one batch of signals.")
        frequency, sums = self._frequency.double(), self._sums
        if self.sample_rate is not None:
            frequency, sums = _in_bands(frequency) / _in_bands(torch.ones_like(frequency)), _in_bands(sums)
        cross, noisy, clean, noise = sums
        unit = "cycles/image" if self.sample_rate is None else "Hz"
        return Filter(unit, frequency, cross / noisy, clean / (clean + noise))


@torch.no_grad()
def measure_filter(
    denoiser: Callable[..., Tensor], batches: Iterable[tuple[Tensor, dict[str, Tensor]]], sigma: float, seed: int = 0
) -> Filter:
    """The filter of a denoiser at a noise level.

    Args:
        denoiser: ``denoiser(x, sigma, **cond) -> x0_hat``; one with ``sample_rate`` is of audio.
        batches: clean signals ``[B, C, *spatial]`` as the denoiser sees them, and conditioning.
        sigma: noise level.
        seed: of the noise.
    """
    estimate = FilterEstimate(getattr(denoiser, "sample_rate", None))
    generator = torch.Generator().manual_seed(seed)
    for x0, cond in batches:
        level = torch.full((len(x0),), sigma, device=x0.device)
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        noisy = x0 + expand_sigma(level, x0) * noise
        estimate.update(x0, noisy, denoiser(noisy, level, **cond), sigma)
    return estimate.result()


def _in_bands(values: Tensor) -> Tensor:
    """Sums of neighbouring bins, all but the first, which is frequency 0; along the last axis."""
    bands = min(AUDIO_BANDS, values.shape[-1] - 1)
    if bands < 1:
        raise ValueError("signals of one value have no spectrum: give longer ones.")
    rest = [band.sum(-1) for band in values[..., 1:].tensor_split(bands, -1)]
    return torch.stack([values[..., 0], *rest], -1)
