"""Signals as files to look at and listen to: pictures, spectrograms, recordings."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from mmspec.data.values import encode, to_array

if TYPE_CHECKING:
    from torch import Tensor

# Spectrograms show this range; 0 dB is a full-scale sine.
_DECIBELS = (-95.0, -15.0)
_CLIPS = 16  # recordings written beside a set of samples


def picture(pixels: np.ndarray) -> Image.Image:
    """One stored picture, uint8 ``[H, W, C]`` with C = 1 or 3, as RGB.

    Small pictures are enlarged by whole factors, so that single pixels stay visible; those above 256 pixels reduced.
    """
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).convert("RGB")
    longest = max(image.size)
    if longest > 256:
        image.thumbnail((256, 256), Image.Resampling.LANCZOS)
        return image
    factor = max(1, round(64 / longest))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def spectrogram(x: "Tensor | np.ndarray", sample_rate: int, frames: int = 320) -> Image.Image:
    """Log power of a clip ``[C, T]``, channels averaged: time to the right, 0 Hz at the bottom, Nyquist at the top."""
    from matplotlib import colormaps

    n_fft = max(64, 2 ** round(math.log2(0.032 * sample_rate)))
    window = np.hanning(n_fft + 1)[:-1]
    hop = max(1, x.shape[-1] // frames)
    padded = np.pad(to_array(x).mean(0), n_fft // 2)
    stretches = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    power = np.square(np.abs(np.fft.rfft(stretches * window)) / (window.sum() / 2))
    low, high = _DECIBELS
    level = ((10 * np.log10(power.clip(1e-12)) - low) / (high - low)).clip(0, 1).T[::-1]
    return Image.fromarray((colormaps["magma"](level)[..., :3] * 255).astype(np.uint8))


def tiled(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size side by side, with transparent gaps."""
    width, height = images[0].size
    gap = max(2, width // 16)
    rows = math.ceil(len(images) / columns)
    grid = Image.new("RGBA", (columns * (width + gap) - gap, rows * (height + gap) - gap))
    for index, image in enumerate(images):
        grid.paste(image, (index % columns * (width + gap), index // columns * (height + gap)))
    return grid


def overview(x: "Tensor | np.ndarray", sample_rate: int | None) -> Image.Image:
    """Signals ``[N, C, *spatial]`` in [-1, 1] in one picture: as they are, or sound as spectrograms."""
    if sample_rate is None:
        return tiled([picture(pixels) for pixels in encode(x)], math.ceil(math.sqrt(len(x))))
    return tiled([spectrogram(clip, sample_rate, 160) for clip in x], math.ceil(math.sqrt(len(x) / 2)))


def write_wav(file: Path | BinaryIO, x: "Tensor | np.ndarray", sample_rate: int) -> None:
    """A clip ``[C, T]`` in [-1, 1] as a 16-bit WAV file."""
    import soundfile

    soundfile.write(file, to_array(x).T, sample_rate, format="WAV", subtype="PCM_16")


def write_samples(
    x: "Tensor | np.ndarray", folder: Path, sample_rate: int | None, lengths: np.ndarray | None = None
) -> None:
    """``grid.png`` of all signals, and of sound the first recordings as ``000.wav``, ``001.wav``, ...

    Args:
        x: ``[N, C, *spatial]`` in [-1, 1].
        lengths: of recordings, in samples, where silence is behind them.
    """
    overview(x, sample_rate).save(folder / "grid.png")
    if sample_rate is not None:
        for index, clip in enumerate(x[:_CLIPS]):
            end = None if lengths is None else lengths[index]
            write_wav(folder / f"{index:03}.wav", clip[:, :end], sample_rate)
