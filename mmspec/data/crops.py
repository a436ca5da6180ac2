"""Stretches of long recordings, as samples of their own."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmspec.data.meta import DatasetMeta
from mmspec.data.stored import StoredDataset
from mmspec.data.values import decode
from mmspec.errors import InputError


class Crops:
    """Every stretch of ``samples`` samples in the recordings of a data set, at multiples of a hop.

    Each stretch is one sample of this set, so a shuffled order of indices alone decides which stretches a training
    step sees, and every moment of sound is as likely as every other. (LMNT's DiffWave draws a recording first, then a
    stretch, leaves out recordings that are shorter, and fills the last hop of a recording with zeros.) A recording
    that is shorter is one stretch, zeros behind it.

    Args:
        dataset: of sound; its ``lengths``, where it has them, say where each recording ends.
        samples: in a stretch.
        hop: between the beginnings of two stretches, in samples.
        margin: so many samples before and behind come with each stretch, for windowed transforms: those of the
            recording, and beyond its ends its reflection, as in `torch.stft`.

    Raises:
        InputError: if the data set holds pictures, or a stretch is no longer than its margin.
    """

    def __init__(self, dataset: StoredDataset, samples: int, hop: int = 256, margin: int = 0) -> None:
        if dataset.meta.modality != "audio":
            raise InputError(f"{dataset.folder} holds pictures, and only sound is cropped: leave crop out.")
        if samples <= margin or hop < 1:
            raise InputError(f"a crop of {samples} samples is too short: it must be more than {margin}.")
        self.dataset = dataset
        self.samples = samples
        self.hop = hop
        self.margin = margin
        stored = np.full(len(dataset), dataset.meta.shape[-1]) if dataset.lengths is None else dataset.lengths
        self._lengths = np.maximum(stored, samples)
        self._counts = 1 + (self._lengths - samples) // hop
        self._ends = np.cumsum(self._counts)  # the stretches up to and of each recording

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def meta(self) -> DatasetMeta:
        """Of the stretches, as if they were a data set."""
        meta = self.dataset.meta
        name = hashlib.sha256(f"{meta.sha256} {self.samples} {self.hop} {self.margin}".encode()).hexdigest()
        return replace(meta, count=len(self), shape=(meta.shape[0], self.samples), sha256=name)

    def of(self, recordings: "Sequence[int] | np.ndarray | Tensor") -> np.ndarray:
        """Indices of all stretches of some recordings."""
        whose = np.repeat(np.arange(len(self.dataset)), self._counts)
        return np.flatnonzero(np.isin(whose, np.asarray(recordings)))

    def batch(self, indices: "Sequence[int] | np.ndarray | Tensor") -> tuple[Tensor, Tensor | None]:
        """Gather a batch of stretches at once.

        Args:
            indices: ``[B]`` integers.

        Returns:
            ``[B, C, margin + samples + margin]`` float32 in [-1, 1], and labels ``[B]`` int64 or None.

        Raises:
            IndexError: if an index is not in the set.
        """
        chosen = np.asarray(indices)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"indices must lie between 0 and {len(self) - 1}.")
        recordings = np.searchsorted(self._ends, chosen, side="right")
        starts = (chosen - np.concatenate([[0], self._ends])[recordings]) * self.hop
        window = np.arange(-self.margin, self.samples + self.margin)
        last = self._lengths[recordings, None] - 1
        positions = last - np.abs(last - np.abs(starts[:, None] + window))
        present = positions < self.dataset.meta.shape[-1]
        stored = self.dataset.stretches(recordings, np.where(present, positions, 0))
        stored[~present] = 0
        labels = self.dataset.labels
        return decode(stored), None if labels is None else torch.from_numpy(labels[recordings])


def side_by_side(dataset: StoredDataset, indices: Tensor, crop: int | None) -> tuple[StoredDataset | Crops, Tensor]:
    """What to compare of a data set's samples at ``indices``, ``[N]``: these, or their stretches of ``crop`` samples,
    one after the other, so that recordings of all lengths can be compared and the silence behind them is not.

    Returns:
        A set, and indices into it.
    """
    if crop is None:
        return dataset, indices
    crops = Crops(dataset, crop, hop=crop)
    return crops, torch.from_numpy(crops.of(indices))
