"""Whole recordings of a data set, each as long as it is; torch is imported only where they become tensors."""

from typing import TYPE_CHECKING

import numpy as np

from mmspec.data.stored import StoredDataset
from mmspec.data.values import decode_sound

if TYPE_CHECKING:
    from torch import Tensor


class Recordings:
    """Whole recordings of a data set, one at a time, each as long as it is.

    Args:
        dataset: of sound.
        margin: so many samples of its reflection come before and behind each recording, for windowed transforms.

    Attributes:
        lengths: ``[N]``, in samples.
        meta: of the data set.
    """

    def __init__(self, dataset: StoredDataset, margin: int = 0) -> None:
        self.dataset = dataset
        self.margin = margin
        whole = np.full(len(dataset), dataset.meta.shape[-1])
        self.lengths = whole if dataset.lengths is None else dataset.lengths
        self.meta = dataset.meta

    def __len__(self) -> int:
        return len(self.dataset)

    def array(self, index: int) -> np.ndarray:
        """``[1, C, margin + T + margin]`` float32; zeros behind a recording that is too short to be reflected."""
        x = decode_sound(self.dataset.stored(np.array([index])))[..., : self.lengths[index]]
        x = np.pad(x, ((0, 0), (0, 0), (0, max(0, self.margin + 1 - x.shape[-1]))))
        return np.pad(x, ((0, 0), (0, 0), (self.margin, self.margin)), mode="reflect")

    def __getitem__(self, index: int) -> "Tensor":
        """As `array`."""
        import torch

        return torch.from_numpy(self.array(index))
