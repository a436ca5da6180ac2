"""Spectra of whole sets, and distances between them.

Generated samples have no partner among the real ones, so every distance here compares two sets: each set is
summarised by means over its signals, batch by batch, and the means are compared. Spectra are compared in dB
because power falls by orders of magnitude from the lowest frequency to the highest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.signals import SignalSet
from mmspec.spectral import radial_power_spectrum

# Table 1 of "Diffusion Probabilistic Model Made Slim" splits pictures of 256 pixels at 28 cycles per image.
CUTOFF_PER_SAMPLE = 28 / 256
# Below 1e-10 of the real set's strongest bin (-100 dB) power is rounding, not signal.
FLOOR = 1e-10
# Periodograms of clips have a bin a cycle, too noisy to compare one by one; pictures have rings.
AUDIO_BANDS = 128
WHAT = "difference in dB of the mean power spectra"


@dataclass(frozen=True)
class Spectrum:
    """The mean power spectrum of a set of signals.

    Attributes:
        unit: "cycles/image" or "Hz", of ``frequency``.
        frequency: ``[bins]``, float64, ascending from 0; a band's is its mean.
        power: ``[bins]``, float64, the mean over signals and channels.
    """

    unit: str
    frequency: Tensor
    power: Tensor


class MeanSpectrum:
    """The mean radial power spectrum of signals that arrive in batches; of audio, in 128 bands of equal width.

    Args:
        sample_rate: Hz of audio, None for pictures (cycles per image).
    """

    def __init__(self, sample_rate: int | None = None) -> None:
        self.sample_rate = sample_rate
        self.count = 0
        self._frequency = torch.zeros(0)
        self._sum = torch.zeros(0, dtype=torch.float64)

    def update(self, x: Tensor) -> None:
        """Add a batch of signals, ``[B, C, *spatial]``."""
        self._frequency, power = radial_power_spectrum(x, sample_rate=self.sample_rate)
        total = power.cpu().double().mean(1).sum(0)
        self._sum = total if self.count == 0 else self._sum + total
        self.count += len(x)

    def result(self) -> Spectrum:
        """The mean so far; ValueError before the first batch."""
        if self.count == 0:
            raise ValueError("a mean spectrum needs at least one signal.")
        unit = "cycles/image" if self.sample_rate is None else "Hz"
        frequency, power = self._frequency.cpu().double(), self._sum / self.count
        if self.sample_rate is not None:
            frequency, power = _in_bands(frequency), _in_bands(power)
        return Spectrum(unit, frequency, power)


def _in_bands(values: Tensor) -> Tensor:
    """Means of neighbouring bins, all but the first, which is frequency 0."""
    bands = min(AUDIO_BANDS, len(values) - 1)
    return torch.stack([values[0], *(band.mean() for band in values[1:].tensor_split(bands))])


def default_cutoff(samples_per_unit: int) -> float:
    """Where low frequencies end: 28/256 of the sampling frequency, as in Table 1 of the Slim paper.

    Args:
        samples_per_unit: pixels of the longer side (result in cycles per image), or samples a second (in Hz).
    """
    return CUTOFF_PER_SAMPLE * samples_per_unit


def spectral_difference(real: Spectrum, generated: Spectrum) -> tuple[Tensor, Tensor]:
    """Generated minus real mean power in dB, at each frequency but 0 (a mean value is no oscillation).

    Returns:
        ``(frequency, difference)``, both ``[bins - 1]``. Power is floored 100 dB below the strongest bin of
        ``real``, so that bands in which both are empty do not count.

    Raises:
        ValueError: if the spectra have other frequencies.
    """
    if real.unit != generated.unit or not torch.equal(real.frequency, generated.frequency):
        raise ValueError("spectra can be compared at the same frequencies only: use signals of one size and rate.")
    oscillating = real.frequency > 0
    floor = FLOOR * real.power[oscillating].max()
    levels = [10 * spectrum.power[oscillating].clamp_min(floor).log10() for spectrum in (generated, real)]
    return real.frequency[oscillating], levels[0] - levels[1]


def log_spectral_distance(real: Spectrum, generated: Spectrum) -> float:
    """Root mean square over frequencies of the difference of two mean power spectra, in dB; 0 is best."""
    _, difference = spectral_difference(real, generated)
    return difference.square().mean().sqrt().item()


def frequency_error(real: Spectrum, generated: Spectrum, cutoff: float) -> tuple[float, float]:
    """Mean absolute difference of two mean power spectra below and above a cut-off, in dB; 0 is best.

    The split of Table 1 of "Diffusion Probabilistic Model Made Slim", which leaves the scale of its spectra open.

    Args:
        cutoff: the highest low frequency, in the unit of the spectra.

    Raises:
        ValueError: if one side of the cut-off has no frequency.
    """
    low, high = _split(real, generated, cutoff)
    return low.abs().mean().item(), high.abs().mean().item()


def frequency_bias(real: Spectrum, generated: Spectrum, cutoff: float) -> tuple[float, float]:
    """Mean signed difference below and above a cut-off, in dB: negative where generated signals lack energy.

    Arguments and errors as for `frequency_error`.
    """
    low, high = _split(real, generated, cutoff)
    return low.mean().item(), high.mean().item()


def _split(real: Spectrum, generated: Spectrum, cutoff: float) -> tuple[Tensor, Tensor]:
    frequency, difference = spectral_difference(real, generated)
    low = frequency <= cutoff
    if len(frequency) < 2:
        raise ValueError("signals so short have one frequency, which no cut-off can part.")
    if low.all() or not low.any():
        raise ValueError(
            f"the cut-off {cutoff:g} {real.unit} leaves one side empty: choose one between "
            f"{frequency[0].item():g} and {frequency[-1].item():g}."
        )
    return difference[low], difference[~low]


def mean_spectrum(signals: SignalSet) -> MeanSpectrum:
    """Of a set, to be summarised by `SignalSet.statistic`."""
    return MeanSpectrum(signals.sample_rate)


class SpectralDistance(Measure):
    """How far the mean power spectra of two sets are apart: over all frequencies, and below and above a cut-off.

    Args:
        cutoff: highest low frequency, in cycles per image or Hz; None for `default_cutoff`, or no cut-off where signals
            are too short for frequencies on both sides of it.

    Raises:
        InputError: on use, if a cut-off that is given leaves no frequency on one side.
    """

    statistics = (mean_spectrum,)

    def __init__(self, cutoff: float | None = None) -> None:
        self.cutoff = cutoff

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``log_spectral_distance``; ``frequency_error_low`` and ``_high``; ``frequency_bias_low`` and ``_high``."""
        spectra = real.statistic(mean_spectrum), generated.statistic(mean_spectrum)
        counts = f"{len(generated):,} generated, {len(real):,} real"
        everywhere = f"Root mean square {WHAT}, over all frequencies but 0; {counts}."
        distance = Metric("log_spectral_distance", log_spectral_distance(*spectra), everywhere, "dB", "lower")
        cutoff = default_cutoff(real.sample_rate or max(real.shape[1:])) if self.cutoff is None else self.cutoff
        try:
            return Verdict([distance, *_by_side(*spectra, cutoff, counts)])
        except ValueError as error:
            if self.cutoff is not None:
                raise InputError(f"cutoff={cutoff:g}: {error}") from error
            return Verdict([distance], [f"frequency_error and frequency_bias are left out: {error}"])


def _by_side(real: Spectrum, generated: Spectrum, cutoff: float, counts: str) -> Iterator[Metric]:
    errors, biases = frequency_error(real, generated, cutoff), frequency_bias(real, generated, cutoff)
    sides = {"low": f"up to {cutoff:g} {real.unit}", "high": f"above {cutoff:g} {real.unit}"}
    for (side, where), value in zip(sides.items(), errors, strict=True):
        yield Metric(f"frequency_error_{side}", value, f"Mean absolute {WHAT}, {where}; {counts}.", "dB", "lower")
    for (side, where), value in zip(sides.items(), biases, strict=True):
        text = (
            f"Mean {WHAT}, {where}, negative where generated signals lack energy; {counts}; signed, so read it beside "
            "the error."
        )
        yield Metric(f"frequency_bias_{side}", value, text, "dB")
