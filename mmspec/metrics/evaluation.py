"""All metrics of one set of signals against another, from one pass over each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.data.crops import Crops
from mmspec.metrics.features import Extractor
from mmspec.metrics.frechet import Moments, frechet_distance, kernel_distance
from mmspec.metrics.spectrogram import MeanSpectrograms, Resolution, mr_stft_between_sets
from mmspec.metrics.spectrum import MeanSpectrum, Spectrum, frequency_bias, frequency_error, log_spectral_distance

# The kernel distance sees at most so many vectors of each set, which bounds its memory.
KERNEL_VECTORS = 2000


@dataclass(frozen=True)
class Summary:
    """What the metrics need to know of a set.

    Attributes:
        count: signals in it.
        spectrum: their mean power spectrum.
        spectrograms: their mean spectrograms; empty for pictures and for clips that are too short.
        moments: of their features.
        features: at most ``KERNEL_VECTORS`` of their feature vectors, evenly spread over the set.
    """

    count: int
    spectrum: Spectrum
    spectrograms: dict[Resolution, Tensor]
    moments: Moments
    features: Tensor


@torch.no_grad()
def summarise(
    dataset: PackedDataset | Crops, indices: Tensor, extractor: Extractor, batch_size: int, device: torch.device
) -> Summary:
    """Summarise the signals of a set at ``indices`` (``[N]``), a batch at a time."""
    extractor = extractor.to(device).eval()
    audio = dataset.meta.sample_rate is not None
    spectrum, spectrograms, moments = MeanSpectrum(dataset.meta.sample_rate), MeanSpectrograms(), Moments()
    stride = -(-len(indices) // KERNEL_VECTORS)
    kept = []
    for start, x in _batches(dataset, indices, batch_size, device):
        spectrum.update(x)
        if audio:
            spectrograms.update(x)
        features = extractor(x).cpu()
        moments.update(features)
        kept.append(features[-start % stride :: stride])
    return Summary(len(indices), spectrum.result(), spectrograms.result(), moments, torch.cat(kept))


@dataclass(frozen=True)
class Metric:
    """A number and what it means, in one sentence."""

    name: str
    value: float
    definition: str


def of_stretches(metrics: list[Metric], crop: int | None) -> list[Metric]:
    """Metrics of stretches of ``crop`` samples, which their definitions then say."""
    if crop is None:
        return metrics
    said = f"These are stretches of {crop:,} samples, side by side in the recordings."
    return [replace(metric, definition=f"{metric.definition} {said}") for metric in metrics]


def compare(real: Summary, generated: Summary, extractor: Extractor, cutoff: float) -> list[Metric]:
    """Every metric of ``generated`` against ``real``.

    Args:
        extractor: the one that both were summarised with.
        cutoff: the highest low frequency, in the unit of the spectra.

    Raises:
        ValueError: if the cut-off leaves no frequency on one side.
    """
    metrics = _spectral(real, generated, cutoff)
    counts = _counts(real, generated)
    if real.spectrograms:
        sizes = ", ".join(str(resolution.n_fft) for resolution in real.spectrograms)
        distance = Metric(
            "mr_stft_between_sets",
            mr_stft_between_sets(real.spectrograms, generated.spectrograms),
            "Multi-resolution STFT distance between the mean spectrograms of two sets, not of pairs of clips: spectral "
            "convergence plus mean absolute difference of natural log magnitudes, averaged over transforms of "
            f"{sizes} samples; {counts}; lower is better.",
        )
        metrics.append(distance)
    frechet = Metric(
        f"frechet_{extractor.name}",
        frechet_distance(real.moments, generated.moments),
        f"Fréchet distance between Gaussians fitted to features: {extractor.definition}; {counts}; lower is better.",
    )
    metrics.append(frechet)
    if too_few(real, generated):
        kernel = Metric(
            f"kernel_{extractor.name}",
            kernel_distance(real.features, generated.features),
            f"Squared maximum mean discrepancy (the unbiased cubic kernel of KID) of features: {extractor.definition}; "
            f"{len(generated.features)} generated, {len(real.features)} real; lower is better.",
        )
        metrics.append(kernel)
    return metrics


def too_few(real: Summary, generated: Summary) -> bool:
    """Whether a set is smaller than its features are wide, so that its covariance is rank deficient."""
    return min(real.count, generated.count) <= len(real.moments.mean)


def _spectral(real: Summary, generated: Summary, cutoff: float) -> list[Metric]:
    counts, unit = _counts(real, generated), real.spectrum.unit
    sides = {"low": f"up to {cutoff:g} {unit}", "high": f"above {cutoff:g} {unit}"}
    distance = Metric(
        "log_spectral_distance",
        log_spectral_distance(real.spectrum, generated.spectrum),
        "Root mean square difference in dB of the mean power spectra, over all frequencies but 0; "
        f"{counts}; lower is better.",
    )
    errors = [
        Metric(
            f"frequency_error_{side}",
            value,
            f"Mean absolute difference in dB of the mean power spectra, {where}; {counts}; lower is better.",
        )
        for (side, where), value in zip(
            sides.items(), frequency_error(real.spectrum, generated.spectrum, cutoff), strict=True
        )
    ]
    biases = [
        Metric(
            f"frequency_bias_{side}",
            value,
            f"Mean difference in dB of the mean power spectra, {where}, negative where generated signals lack energy; "
            f"{counts}; signed, so read it beside the error.",
        )
        for (side, where), value in zip(
            sides.items(), frequency_bias(real.spectrum, generated.spectrum, cutoff), strict=True
        )
    ]
    return [distance, *errors, *biases]


def _counts(real: Summary, generated: Summary) -> str:
    return f"{generated.count:,} generated, {real.count:,} real"


def _batches(
    dataset: PackedDataset | Crops, indices: Tensor, batch_size: int, device: torch.device
) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(indices), batch_size):
        x, _ = dataset.batch(indices[start : start + batch_size].numpy())
        yield start, x.to(device)
