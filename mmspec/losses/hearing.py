"""What of a sound an STFT loss compares: mid and side, A-weighted, in mel bands; by auraloss and librosa."""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Hearing(nn.Module):
    """Signals and magnitudes as an STFT loss compares them; as they are, unless something is asked for.

    Args:
        n_ffts: samples of a piece at each resolution.
        sample_rate: in Hz, for what follows.
        n_mels: mel bands that magnitudes are gathered in (Slaney's scale and areas, as librosa and auraloss have them);
            None for all frequencies.
        perceptual_weighting: filter signals by the A-weighting of auraloss, 101 taps.
        mid_side: compare the sum and the difference of two channels, each for itself.

    Raises:
        ValueError: for what lacks a sample rate, a rate or a number of bands that is not above 0, and for so many bands
            that one holds no frequency.
    """

    taps: Tensor

    def __init__(
        self,
        n_ffts: Iterable[int],
        sample_rate: float | None,
        n_mels: int | None,
        perceptual_weighting: bool,
        mid_side: bool,
    ) -> None:
        super().__init__()
        self.n_mels, self.perceptual_weighting, self.mid_side = n_mels, perceptual_weighting, mid_side
        if n_mels is None and not perceptual_weighting:
            return
        if sample_rate is None or not sample_rate > 0:
            raise ValueError(f"n_mels and perceptual_weighting need sample_rate in Hz, above 0, not {sample_rate}.")
        if n_mels is not None:
            for n_fft in n_ffts:
                self.register_buffer(f"mel_{n_fft}", _mel(sample_rate, n_fft, n_mels), persistent=False)
        if perceptual_weighting:
            from auraloss.perceptual import FIRFilter

            taps = FIRFilter("aw", fs=sample_rate).fir.weight.detach()
            self.register_buffer("taps", taps, persistent=False)

    def signals(self, x: Tensor) -> Tensor:
        """Sounds ``[B, C, T]`` -> ``[B, C, T]``, or ``[2 B, 1, T]``, mid and side of each.

        Raises:
            ValueError: for pictures where something is asked for, and mid and side of other than two channels.
        """
        if x.ndim != 3 and (self.n_mels or self.perceptual_weighting or self.mid_side):
            raise ValueError(
                "n_mels, perceptual_weighting and mid_side are for sound [B, C, T], not for signals of shape "
                f"{list(x.shape)}."
            )
        if self.mid_side:
            if x.shape[1] != 2:
                raise ValueError(f"mid_side needs stereo [B, 2, T], not {list(x.shape)}.")
            left, right = x.unbind(1)
            x = torch.stack([left + right, left - right], dim=1).flatten(0, 1)[:, None]
        if self.perceptual_weighting:
            flat = F.conv1d(x.flatten(0, 1)[:, None], self.taps.to(x), padding=self.taps.shape[-1] // 2)
            x = flat.view(x.shape)
        return x

    def bands(self, magnitudes: Tensor, n_fft: int) -> Tensor:
        """Magnitudes ``[B, C, bins, frames]`` -> ``[B, C, n_mels, frames]``, or as they are."""
        if self.n_mels is None:
            return magnitudes
        bank: Any = getattr(self, f"mel_{n_fft}")
        banded: Tensor = bank.to(magnitudes) @ magnitudes
        return banded

    def each(self, values: Tensor) -> Tensor:
        """Values of mid and side ``[2 B]`` -> their means ``[B]``, or as they are."""
        return values.view(-1, 2).mean(1) if self.mid_side else values


def _mel(sample_rate: float, n_fft: int, n_mels: int) -> Tensor:
    """``[n_mels, n_fft // 2 + 1]``."""
    from librosa.filters import mel

    if n_mels < 1:
        raise ValueError(f"n_mels must be 1 or more, not {n_mels}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands, which are refused below
        bank = torch.from_numpy(mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels))
    empty = int((bank == 0).all(1).sum())
    if empty:
        raise ValueError(
            f"{empty} of {n_mels} mel bands hold no frequency of n_fft={n_fft} at {sample_rate:g} Hz: give fewer "
            "n_mels or longer fft_sizes."
        )
    return bank
