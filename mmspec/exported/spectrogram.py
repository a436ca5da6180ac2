"""What a vocoder sees of a recording, made without torch."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmspec.data.mel_options import check_mel_options


@dataclass(frozen=True)
class SpectrogramFacts:
    """The log-mel spectrogram of `mmspec.data.mel.LogMel`, whose options these are, by NumPy.

    Raises:
        ValueError: as that.
    """

    sample_rate: int
    n_fft: int
    hop_samples: int
    n_mels: int

    def __post_init__(self) -> None:
        check_mel_options(self.sample_rate, self.n_fft, self.hop_samples, self.n_mels)

    @property
    def margin(self) -> int:
        """Samples around a recording that its frames look at, in whole hops."""
        return math.ceil(self.n_fft / 2 / self.hop_samples) * self.hop_samples

    def frames(self, clip: np.ndarray) -> np.ndarray:
        """The frames of a recording.

        Args:
            clip: ``[1, C, margin + T + margin]`` in [-1, 1], of which the first channel counts.

        Returns:
            ``[1, n_mels, ceil(T / hop_samples)]`` float32 in [0, 1].
        """
        first = self.margin // self.hop_samples
        count = math.ceil((clip.shape[-1] - 2 * self.margin) / self.hop_samples)
        around = np.pad(clip[0, 0].clip(-1, 1), self.n_fft // 2, mode="reflect")
        stretches = np.lib.stride_tricks.sliding_window_view(around, self.n_fft)[:: self.hop_samples]
        magnitudes = np.abs(np.fft.rfft(stretches[first : first + count] * self._window)) @ self._bands
        decibels = 20 * np.log10(magnitudes.clip(1e-5)) - 20
        spectrogram: np.ndarray = ((decibels + 100) / 100).clip(0, 1).astype(np.float32)
        return spectrogram.T[None]

    @cached_property
    def _window(self) -> np.ndarray:
        """``[n_fft]``: a periodic Hann window of four hops in the middle, over its norm."""
        length = 4 * self.hop_samples
        hann = np.hanning(length + 1)[:-1]
        before = (self.n_fft - length) // 2
        return np.pad(hann / np.linalg.norm(hann), (before, self.n_fft - length - before))

    @cached_property
    def _bands(self) -> np.ndarray:
        """``[n_fft / 2 + 1, n_mels]``: triangles whose edges lie evenly on the HTK mel scale, from 20 Hz up."""
        lowest, highest = (2595 * math.log10(1 + hz / 700) for hz in (20, self.sample_rate / 2))
        edges = 700 * (10 ** (np.linspace(lowest, highest, self.n_mels + 2) / 2595) - 1)
        frequencies = np.linspace(0, self.sample_rate // 2, self.n_fft // 2 + 1)
        triangles = [np.interp(frequencies, edges[band : band + 3], [0, 1, 0]) for band in range(self.n_mels)]
        return np.stack(triangles, axis=1)
