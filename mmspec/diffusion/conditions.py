"""What a network is told besides the noise level: how it is made of a batch, hidden, and replaced by nothing.

A condition is one keyword of a network, a tensor with a row a sample. Where guidance or training hides it, zeros take
its place, or what is handed along as ``null_<keyword>``, such as the embedding of an empty text.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.components import choices
from mmspec.data.augment import EDMAugment
from mmspec.data.mel import LogMel
from mmspec.networks.diffwave import HOP_SAMPLES

NULL = "null_"


@dataclass(frozen=True)
class Batch:
    """Samples, and what is known of them.

    Attributes:
        clips: clean signals ``[B, C, *spatial]``, with a spectrogram's margin around them where there is one; None of
            samples that are to be drawn without any.
        labels: classes, int64 ``[B]``; None without.
        indices: of the samples in their set, ``[B]``.
        moves: how pictures are augmented, from `EDMAugment.draw`, ``[B, 8]``; None where they are not.
    """

    clips: Tensor | None = None
    labels: Tensor | None = None
    indices: Sequence[int] | np.ndarray = ()
    moves: Tensor | None = None

    @property
    def signals(self) -> Tensor:
        """The clips; ValueError for samples without."""
        if self.clips is None:
            raise ValueError("these samples are to be drawn: there are no clips of them.")
        return self.clips

    def to(self, device: torch.device) -> "Batch":
        """The same, with its signals and labels on a device."""
        clips, labels = (x if x is None else x.to(device, non_blocking=True) for x in (self.clips, self.labels))
        return replace(self, clips=clips, labels=labels)


class Condition(ABC):
    """One keyword of a network.

    A subclass writes `of`, and the rest where it differs.

    Attributes:
        name: the keyword.
        hideable: whether guidance and training hide it.
        null: ``[1, ...]``, what takes its place where it is hidden; None is zeros.
    """

    name: ClassVar[str]
    hideable: ClassVar[bool] = True
    null: Tensor | None = None

    @abstractmethod
    def of(self, batch: Batch) -> Tensor | None:
        """Its value for each sample, ``[B, ...]``; None where the batch does not say."""

    @classmethod
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        """A value ``[B, ...]``, to count or time a network by.

        Args:
            width: as the network's ``conditions`` say.
            samples: B.
            signal: shape ``(C, *spatial)`` of one.
            length: of what may be of any length, such as texts.
        """
        return torch.rand(samples, width)

    @classmethod
    def nothing(cls, value: Tensor, null: Tensor | None) -> Tensor:
        """What takes the place of a value ``[B, ...]`` where it is hidden, ``[1, ...]``.

        Args:
            value: of samples that are told.
            null: what is handed along for it, or None.

        Raises:
            ValueError: if it cannot be hidden so.
        """
        return torch.zeros_like(value[:1]) if null is None else null.to(value)

    def to(self, device: torch.device) -> "Condition":
        """The same, on a device."""
        if self.null is not None:
            self.null = self.null.to(device)
        return self


class Labels(Condition):
    """Classes as one-hot rows ``[B, classes]`` float32; a row of zeros is no class.

    Args:
        num_classes: how many there are.
    """

    name = "labels"

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def of(self, batch: Batch) -> Tensor | None:
        return None if batch.labels is None else F.one_hot(batch.labels, self.num_classes).float()

    @classmethod
    def nothing(cls, value: Tensor, null: Tensor | None) -> Tensor:
        if value.ndim != 2:
            raise ValueError(
                f"labels= are hidden as one-hot rows [B, classes], which {list(value.shape)} are not: give such rows, "
                "or leave guidance and label_dropout out."
            )
        return super().nothing(value, null)


class Context(Condition):
    """Embeddings of texts, ``[B, L, D]``; an empty text's take their place.

    Args:
        texts: of all samples, by index.
        encode: texts -> ``[B, L, D]``, such as `mmspec.pretrained.clip.TextEncoder`.
    """

    name = "context"

    def __init__(self, texts: Sequence[str], encode: Callable[[Sequence[str]], Tensor]) -> None:
        self.texts, self.encode = texts, encode
        self.null = encode([""])

    def of(self, batch: Batch) -> Tensor:
        return self.encode([self.texts[index] for index in batch.indices])

    @classmethod
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        return torch.rand(samples, length, width)

    @classmethod
    def nothing(cls, value: Tensor, null: Tensor | None) -> Tensor:
        if null is None:
            raise ValueError("context= is hidden behind null_context=, an empty text's embedding [1, L, D]: give both.")
        return super().nothing(value, null)

    def to(self, device: torch.device) -> "Context":
        """The same, with its encoder, on a device."""
        super().to(device)
        if hasattr(self.encode, "to"):
            self.encode.to(device)
        return self


class Spectrogram(Condition):
    """Log-mel spectrograms of recordings, ``[B, n_mels, frames]``; zeros are silence.

    Args:
        log_mel: makes them of clips.
    """

    name = "spectrogram"

    def __init__(self, log_mel: LogMel) -> None:
        self.log_mel = log_mel

    def of(self, batch: Batch) -> Tensor | None:
        return None if batch.clips is None else self.log_mel.frames(batch.clips)

    @classmethod
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        return torch.rand(samples, width, math.ceil(signal[-1] / HOP_SAMPLES))


class AugmentLabels(Condition):
    """How pictures were augmented, ``[B, 9]``; zeros are not at all. Nobody is guided towards it.

    Args:
        augment: which augments them.
    """

    name = "augment_labels"
    hideable = False

    def __init__(self, augment: EDMAugment) -> None:
        self.augment = augment

    def of(self, batch: Batch) -> Tensor | None:
        return None if batch.moves is None else self.augment.labels(batch.moves)


def tell(conditions: Iterable[Condition], batch: Batch) -> dict[str, Tensor]:
    """What a network is told of a batch: keyword -> ``[B, ...]``, ``null_<keyword>`` -> ``[1, ...]``."""
    told = {}
    for condition in conditions:
        if (value := condition.of(batch)) is not None:
            told[condition.name] = value
            if condition.null is not None:
                told[NULL + condition.name] = condition.null
    return told


def hide(told: Mapping[str, Tensor], keep: Tensor) -> dict[str, Tensor]:
    """What is left for a network of what `tell` says, where some samples are not told.

    Args:
        told: keyword -> ``[B, ...]``.
        keep: ``[B]``, 1 where a sample is told and 0 where not.

    Raises:
        ValueError: for labels that are no one-hot rows, or texts without the empty one.
    """

    def kept(value: Tensor, null: Tensor) -> Tensor:
        return torch.where(keep.reshape(-1, *[1] * (value.ndim - 1)) > 0, value, null)

    return said(told) | {name: kept(told[name], null) for name, null in _nothings(told).items()}


def nothing(told: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a network is told of samples of which nothing is said; arguments and errors as of `hide`."""
    return said(told) | {name: null.expand_as(told[name]) for name, null in _nothings(told).items()}


def said(told: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keywords of the network alone, without what stands for nothing."""
    return {name: value for name, value in told.items() if not name.startswith(NULL)}


def hideable(told: Mapping[str, Tensor]) -> list[str]:
    """Keywords that training and guidance hide."""
    return [name for name in said(told) if kind(name).hideable]


def kind(name: str) -> type[Condition]:
    """The condition of a keyword; of one that nobody has described, what all share."""
    return next((each for each in choices(Condition).values() if each.name == name), Condition)


def _nothings(told: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: kind(name).nothing(told[name], told.get(NULL + name)) for name in hideable(told)}
