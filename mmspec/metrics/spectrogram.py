"""Mean spectrograms of whole sets of clips, and the multi-resolution STFT distance between them."""

import torch
from torch import Tensor

from mmspec.losses.stft import AUDIO, Resolution
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.signals import SignalSet


class MeanSpectrograms:
    """Mean magnitude and mean log magnitude spectrograms of clips that arrive in batches.

    Time is kept, so two sets are compared moment by moment of their clips as well as frequency by frequency.
    Magnitudes are floored 80 dB below a full-scale constant, so silence is compared with inaudible noise fairly.
    Resolutions whose padding does not fit into the clips are left out.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[Resolution, Tensor] = {}

    def update(self, x: Tensor) -> None:
        """Add a batch of clips, ``[B, C, T]``."""
        for resolution in AUDIO:
            if resolution.n_fft // 2 < x.shape[-1]:
                total = _spectrogram_sums(x, resolution)
                self._sums[resolution] = total + self._sums[resolution] if self.count else total
        self.count += x.shape[0] * x.shape[1]

    def result(self) -> dict[Resolution, Tensor]:
        """``[2, frequencies, frames]`` for each resolution: mean magnitude, mean log magnitude."""
        return {resolution: total / self.count for resolution, total in self._sums.items()}


def _spectrogram_sums(x: Tensor, resolution: Resolution) -> Tensor:
    window = torch.hann_window(resolution.win_length, device=x.device)
    transform = torch.stft(
        x.flatten(0, 1).float(),
        resolution.n_fft,
        resolution.hop_length,
        resolution.win_length,
        window,
        return_complex=True,
    )
    magnitude = transform.abs().clamp_min(1e-4 * window.sum().item())
    return torch.stack([magnitude.sum(0), magnitude.log().sum(0)]).cpu().double()


def mr_stft_between_sets(real: dict[Resolution, Tensor], generated: dict[Resolution, Tensor]) -> float:
    """Multi-resolution STFT distance of two sets' mean spectrograms; 0 is best.

    For each resolution, spectral convergence of the mean magnitudes (Frobenius norm of the difference over that of
    ``real``) plus the mean absolute difference of the mean natural log magnitudes; averaged over resolutions. For
    two sets of one clip each this is the usual multi-resolution STFT distance (Yamamoto et al. 2020, Eq. 3 to 6).

    Args:
        real: result of `MeanSpectrograms`.
        generated: the same of the other set, whose clips are as long.

    Raises:
        ValueError: if the clips of the sets differ in length, or are shorter than every resolution.
    """
    if not real or not generated:
        raise ValueError(f"clips are too short for a spectrogram: {AUDIO[-1].n_fft // 2 + 1} samples are needed.")
    distances = []
    for resolution, (magnitude, log_magnitude) in real.items():
        if resolution not in generated or generated[resolution].shape[1:] != magnitude.shape:
            raise ValueError("mean spectrograms can be compared for clips of one length only.")
        other_magnitude, other_log_magnitude = generated[resolution]
        convergence = torch.linalg.norm(other_magnitude - magnitude) / torch.linalg.norm(magnitude)
        distances.append(convergence + (other_log_magnitude - log_magnitude).abs().mean())
    return torch.stack(distances).mean().item()


def mean_spectrograms(_: SignalSet) -> MeanSpectrograms:
    """Of a set of clips, to be summarised by `SignalSet.statistic`."""
    return MeanSpectrograms()


class SpectrogramDistance(Measure):
    """How far the mean spectrograms of two sets of clips are apart, see `mr_stft_between_sets`."""

    statistics = (mean_spectrograms,)

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``mr_stft_between_sets``, or a warning where the clips are too short for it."""
        spectrograms = real.statistic(mean_spectrograms), generated.statistic(mean_spectrograms)
        if not spectrograms[0]:
            return Verdict([], ["The clips are too short for mr_stft_between_sets, which is left out."])
        sizes = ", ".join(str(resolution.n_fft) for resolution in spectrograms[0])
        text = (
            "Multi-resolution STFT distance between the mean spectrograms of two sets, not of pairs of clips: spectral "
            "convergence plus mean absolute difference of natural log magnitudes, averaged over transforms of "
            f"{sizes} samples; {len(generated):,} generated, {len(real):,} real."
        )
        return Verdict([Metric("mr_stft_between_sets", mr_stft_between_sets(*spectrograms), text, better="lower")])
