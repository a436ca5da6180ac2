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
    """Show samples of a packed set, evenly spread over it; of each class in turn where it has classes, so that two sets
    show the same at the same place.

    Args:
        made: phrases that say how the samples were made.
        max_samples: at most so many; None for 64 pictures or 6 clips.
    """
    rate, classes = dataset.meta.sample_rate, dataset.meta.classes
    count = min(len(dataset), max_samples or (CLIPS if rate else PICTURES))
    indices, in_turn = _in_turn(dataset.labels, count) or (_spread(len(dataset), count), 1)
    x, labels = dataset.batch(indices)
    caption = " · ".join([f"{len(indices)} of {len(dataset):,}", *made])
    if rate is None:
        most = (8 if in_turn == 1 else 10) if max(dataset.meta.shape[1:]) <= 96 else 4
        columns = min(len(indices), most // in_turn * in_turn or most)
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


def _in_turn(labels: np.ndarray | None, count: int) -> tuple[np.ndarray, int] | None:
    """Up to so many rows, one of each class in turn, and how many classes; None without classes, or if one is rare."""
    if labels is None:
        return None
    classes = np.unique(labels)
    classes = classes[_spread(len(classes), min(count, len(classes)))]
    turns = count // len(classes)
    members = [np.flatnonzero(labels == each) for each in classes]
    if min(map(len, members)) < turns:
        return None
    return np.stack([rows[_spread(len(rows), turns)] for rows in members], axis=1).ravel(), len(classes)


def _spread(length: int, count: int) -> np.ndarray:
    return np.linspace(0, length - 1, count).round().astype(int)
