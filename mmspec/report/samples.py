"""The part of the page that is looked at and listened to: real samples first, then each run's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmspec.data import StoredDataset
from mmspec.data.media import picture, spectrogram, tiled
from mmspec.data.values import encode
from mmspec.drawing.media import image, outline, wav

PICTURES, CLIPS = 64, 6  # shown of a set


@dataclass(frozen=True)
class Clip:
    """One recording: player, spectrogram and waveform (SVG path)."""

    name: str
    wav: str
    spectrogram: str
    outline: str


@dataclass(frozen=True)
class Gallery:
    """Samples of one set, as a grid of pictures or a row of clips.

    Attributes:
        owner: a run's name, or what the real set is called.
        colour: as of a line in the figures.
        caption: how many of how many, and how they were made.
        grid: of pictures; None for audio.
        clips: recordings; empty for pictures.
    """

    owner: str
    colour: int
    caption: str
    grid: str | None
    clips: Sequence[Clip]


def gallery(
    dataset: StoredDataset, owner: str, colour: int, made: Sequence[str] = (), max_samples: int | None = None
) -> Gallery:
    """Show samples of a packed set, evenly spread over it.

    Args:
        made: phrases that say how the samples were made.
        max_samples: at most so many; None for 64 pictures or 6 clips.
    """
    rate, classes = dataset.meta.sample_rate, dataset.meta.classes
    count = min(len(dataset), max_samples or (CLIPS if rate else PICTURES))
    indices = np.linspace(0, len(dataset) - 1, count).round().astype(int)
    x, labels = dataset.batch(indices)
    caption = " · ".join([f"{count} of {len(dataset):,}", *made])
    if rate is None:
        columns = min(count, 8 if max(dataset.meta.shape[1:]) <= 96 else 4)
        return Gallery(owner, colour, caption, image(tiled([picture(pixels) for pixels in encode(x)], columns)), ())
    names = [classes[label] for label in labels.tolist()] if labels is not None and classes else []
    lengths = np.full(len(dataset), x.shape[-1]) if dataset.lengths is None else dataset.lengths
    cut = [clip[:, :length] for clip, length in zip(x, lengths[indices], strict=True)]
    clips = [
        Clip(
            name=names[i] if names else f"#{index}",
            wav=wav(cut[i], rate),
            spectrogram=image(spectrogram(cut[i], rate), exact=False),
            outline=outline(cut[i]),
        )
        for i, index in enumerate(indices)
    ]
    return Gallery(owner, colour, caption, None, clips)
