"""Feature extractors for the Fréchet and kernel distances, each with the definition that its numbers carry."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmspec.errors import InputError
from mmspec.metrics.network_file import TorchScriptFile


class Extractor(nn.Module):
    """Signals ``[B, C, *spatial]`` in [-1, 1] -> feature vectors ``[n, D]``, one or more a signal.

    Attributes:
        name: what metrics are named after: ``frechet_<name>``.
        definition: a noun phrase that says what the features are.
        key: says all that the features of a signal depend on, or None where they are not worth keeping on disk.
    """

    name: str
    definition: str
    key: str | None = None


def extracted(extractor: Extractor, x: Tensor) -> Tensor:
    """Features ``[n, D]`` of signals ``[B, C, *spatial]``.

    Raises:
        InputError: if some are not finite, of which every distance would be NaN, and precision 0.
    """
    features: Tensor = extractor(x)
    if not features.isfinite().all():
        raise InputError(
            f"{extractor.name} is not finite for some of {len(x)} signals of shape {list(x.shape[1:])} ("
            f"{extractor.definition}): take another network, or leave such signals out."
        )
    return features


class LogMelStatistics(Extractor):
    """Mean and standard deviation over time of log-mel bands: 2 x 32 features of a clip.

    Channels are averaged; 32 ms Hann windows every 8 ms, zero-padded at both ends; 32 triangular bands, equally
    spaced in HTK mel from 0 Hz to Nyquist; natural logarithm of the power, in which a full-scale sine is 1/4,
    floored at 1e-8 (-80 dB).

    Args:
        sample_rate: Hz.
    """

    name = "log_mel"
    bands = 32

    def __init__(self, sample_rate: int) -> None:
        from torchaudio.functional import melscale_fbanks

        super().__init__()
        self.n_fft, self.hop = max(round(0.032 * sample_rate), 4), max(round(0.008 * sample_rate), 1)
        window = torch.hann_window(self.n_fft)
        with warnings.catch_warnings():  # below 5 kHz the lowest bands fall between two bins: constant features
            warnings.simplefilter("ignore", UserWarning)
            filters = melscale_fbanks(self.n_fft // 2 + 1, 0.0, sample_rate / 2, self.bands, sample_rate)
        self.register_buffer("window", window / window.sum(), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.definition = (
            f"mean and standard deviation over time of {self.bands} log-mel bands (32 ms windows every 8 ms, "
            f"0 to {sample_rate / 2:g} Hz), {2 * self.bands} dimensions"
        )

    def forward(self, x: Tensor) -> Tensor:
        bands = self.spectrogram(x)
        return torch.cat([bands.mean(1), bands.std(1, correction=0)], dim=1)

    def spectrogram(self, x: Tensor) -> Tensor:
        """Log-mel bands over time, ``[B, frames, bands]``."""
        spectrogram = torch.stft(
            x.mean(1),
            self.n_fft,
            self.hop,
            window=self.get_buffer("window"),
            pad_mode="constant",
            return_complex=True,
        )
        power = torch.view_as_real(spectrogram).square().sum(-1)
        return (power.transpose(1, 2) @ self.get_buffer("filters")).clamp_min(1e-8).log()


class RandomProjection(Extractor):
    """Channel means, and log strengths of random filters at three scales: C + 60 features of a picture.

    20 filters 3 x 3 with Gaussian weights (fixed seed), no response to a constant and unit norm, see the picture at
    its own size, halved and quartered (averages of 2 x 2); a strength is the mean absolute response. The picture
    is not resized, so features compare sets of one size only.

    Args:
        channels: C of the pictures.
    """

    name = "random_projection"
    filters_per_scale, scales, seed = 20, 3, 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(self.seed)
        filters = torch.randn(self.filters_per_scale, channels, 3, 3, generator=generator)
        filters = filters - filters.mean((1, 2, 3), keepdim=True)
        norms = torch.linalg.vector_norm(filters, dim=(1, 2, 3), keepdim=True)
        self.register_buffer("filters", filters / norms, persistent=False)
        dimensions = channels + self.filters_per_scale * self.scales
        self.definition = (
            f"channel means and log mean absolute responses of {self.filters_per_scale} random 3 x 3 filters (seed "
            f"{self.seed}) at {self.scales} scales, pictures at their own size, {dimensions} dimensions"
        )

    def forward(self, x: Tensor) -> Tensor:
        features = [x.mean((2, 3))]
        for scale in range(self.scales):
            if scale:
                x = functional.avg_pool2d(x, 2, ceil_mode=True)
            response = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), self.get_buffer("filters"))
            features.append((response.abs().mean((2, 3)) + 0.01).log())
        return torch.cat(features, dim=1)


class TorchScript(Extractor):
    """A TorchScript module from a file; it takes float32 ``[B, C, *spatial]`` in [-1, 1] and returns ``[B, D]``.

    Any preprocessing (resizing, another range) belongs into the file. TorchScript runs in its own interpreter:
    nothing is unpickled.

    Raises:
        InputError: if the file is missing or no TorchScript module; on use, if it fails or returns another shape.
    """

    name = "torchscript"

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.network = TorchScriptFile("features", path, "log_mel, random_projection or a TorchScript file")
        self.definition = f"features of the TorchScript module {self.network.name}"

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.network(x)
        if features.ndim != 2 or len(features) != len(x):
            found = list(features.shape)
            raise InputError(f"{self.network} must return [B, D] for {list(x.shape)}, it returned {found}.")
        return features


def extractor(features: str, channels: int, sample_rate: int | None) -> Extractor:
    """The extractor that the key ``features`` names.

    Args:
        features: "auto" (by modality), "log_mel", "random_projection" or the path of a TorchScript file.
        channels: C of the signals.
        sample_rate: Hz of audio, None for pictures.

    Raises:
        InputError: if the features are of the other modality, or the file cannot be used.
    """
    if features == "auto":
        features = "random_projection" if sample_rate is None else "log_mel"
    if features == "log_mel":
        if sample_rate is None:
            raise InputError("features=log_mel is for audio: use random_projection or a TorchScript file for pictures.")
        return LogMelStatistics(sample_rate)
    if features == "random_projection":
        if sample_rate is not None:
            raise InputError("features=random_projection is for pictures: use log_mel or a TorchScript file for audio.")
        return RandomProjection(channels)
    return TorchScript(features)
