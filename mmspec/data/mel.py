"""What a vocoder sees of a recording: its log-mel spectrogram."""

import math

import torch
from torch import Tensor, nn

from mmspec.components import Configured
from mmspec.data.mel_options import check_mel_options
from mmspec.errors import InputError


class LogMel(Configured, nn.Module):
    """DiffWave's front end as LMNT released it: magnitudes in mel bands from 20 Hz up, in decibels, in [0, 1].

    A centred short-time Fourier transform (periodic Hann window of four hops, reflected edges), magnitudes over the
    window's norm, triangular bands on the HTK mel scale, then ``(20 log10(max(m, 1e-5)) - 20 + 100) / 100`` clipped
    to [0, 1]: 0 is 80 dB below 1.

    Args:
        sample_rate: of the recordings, in Hz.
        n_fft: length of the transform, in samples.
        hop_samples: from frame to frame.
        n_mels: number of bands.
    """

    def __init__(self, sample_rate: int = 22050, n_fft: int = 1024, hop_samples: int = 256, n_mels: int = 80) -> None:
        from torchaudio.transforms import MelSpectrogram

        super().__init__()
        check_mel_options(sample_rate, n_fft, hop_samples, n_mels)
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_samples = hop_samples
        self.mel = MelSpectrogram(
            sample_rate=sample_rate,
            n_fft=n_fft,
            win_length=4 * hop_samples,
            hop_length=hop_samples,
            f_min=20.0,
            f_max=sample_rate / 2,
            n_mels=n_mels,
            power=1.0,
            normalized=True,
        )

    @property
    def margin(self) -> int:
        """Samples around a stretch of a recording that its frames look at, in whole hops."""
        return math.ceil(self.n_fft / 2 / self.hop_samples) * self.hop_samples

    def forward(self, x: Tensor, sample_rate: int | None = None) -> Tensor:
        """The spectrogram of the first channel of whole recordings.

        Args:
            x: ``[B, C, T]`` in [-1, 1], clipped to it.
            sample_rate: of x in Hz, compared with the model's where it is given.

        Returns:
            ``[B, n_mels, 1 + T // hop_samples]`` in [0, 1].

        Raises:
            InputError: if the rate is another one.
            ValueError: if the recordings are too short to be reflected at their edges.
        """
        if sample_rate not in (None, self.sample_rate):
            raise InputError(
                f"the recording has a sample rate of {sample_rate} Hz, the model's spectrograms are for "
                f"{self.sample_rate} Hz: resample it."
            )
        if x.shape[-1] <= self.n_fft // 2:
            raise ValueError(
                f"a recording of {x.shape[-1]} samples is too short for a spectrogram: more than {self.n_fft // 2} "
                "are needed."
            )
        with torch.autocast(x.device.type, enabled=False):
            magnitude: Tensor = self.mel(x[:, 0].float().clamp(-1, 1))
            return ((20 * magnitude.clamp(min=1e-5).log10() - 20 + 100) / 100).clamp(0, 1)

    def inner(self, clips: Tensor) -> Tensor:
        """The stretches ``[B, C, T]`` inside of the margins of ``clips`` ``[B, C, margin + T + margin]``."""
        return clips[..., self.margin : -self.margin]

    def frames(self, clips: Tensor) -> Tensor:
        """The frames of recordings' spectrograms that belong to stretches of them.

        Args:
            clips: ``[B, C, margin + T + margin]``, as `mmspec.data.crops.Crops` yields them.

        Returns:
            ``[B, n_mels, ceil(T / hop_samples)]``: what `forward` gives for the whole recording, from the stretch's
            first sample on.
        """
        first = self.margin // self.hop_samples
        frames = math.ceil((clips.shape[-1] - 2 * self.margin) / self.hop_samples)
        spectrogram: Tensor = self(clips)
        return spectrogram[..., first : first + frames]
