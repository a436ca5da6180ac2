"""What a network is told besides the noise level: how it is made of a batch, hidden, and replaced by nothing.

A condition is one keyword of a network, a tensor with a row a sample. Where guidance or training hides it, nothing takes
its place: zeros, or what is handed along as ``null_<keyword>``, such as the embedding of an empty text.
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

    A subclass writes `of` and `example`, and the rest where it differs.

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
    @abstractmethod
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        """A value for samples of a shape ``(C, *spatial)``, to count or time a network by.

        Args:
            width: as the network's ``conditions`` say.
            samples: B.
            signal: shape of one.
            length: of what may be of any length, such as texts.
        """

    @classmethod
    def check(cls, value: Tensor, null: Tensor | None) -> None:
        """Raise ValueError for a value that cannot be hidden, or without what takes its place."""

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
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        return torch.zeros(samples, width)

    @classmethod
    def check(cls, value: Tensor, null: Tensor | None) -> None:
        if value.ndim != 2:
            raise ValueError(
                f"labels= are hidden as one-hot rows [B, classes], which {list(value.shape)} are not: give such rows, "
                "or leave guidance and label_dropout out."
            )


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
        return torch.randn(samples, length, width)

    @classmethod
    def check(cls, value: Tensor, null: Tensor | None) -> None:
        if null is None:
            raise ValueError("context= is hidden behind null_context=, an empty text's embedding [1, L, D]: give it too.")

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
    hop = 256  # samples a frame, of examples: DiffWave's

    def __init__(self, log_mel: LogMel) -> None:
        self.log_mel = log_mel

    def of(self, batch: Batch) -> Tensor | None:
        return None if batch.clips is None else self.log_mel.frames(batch.clips)

    @classmethod
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        return torch.rand(samples, width, math.ceil(signal[-1] / cls.hop))


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

    @classmethod
    def example(cls, width: int, samples: int, signal: Sequence[int], length: int) -> Tensor:
        return torch.zeros(samples, width)


def tell(conditions: Iterable[Condition], batch: Batch) -> dict[str, Tensor]:
    """What a network is told of a batch: keyword -> ``[B, ...]``, and ``null_<keyword>`` ``[1, ...]`` where there is one."""
    told = {}
    for condition in conditions:
        if (value := condition.of(batch)) is not None:
            told[condition.name] = value
            if condition.null is not None:
                told[NULL + condition.name] = condition.null
    return told


def hide(told: Mapping[str, Tensor], keep: Tensor) -> dict[str, Tensor]:
    """What is left for a network of what `tell` says, where samples are not told.

    Args:
        told: keyword -> ``[B, ...]``.
        keep: ``[B]``, 1 where a sample is told and 0 where not.

    Raises:
        ValueError: for labels that are no one-hot rows.
    """
    return _replaced(told, lambda value, null: torch.where(_like(keep, value) > 0, value, null))


def nothing(told: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a network is told of samples of which nothing is said; arguments and errors as of `hide`."""
    return _replaced(told, lambda value, null: null.expand_as(value))


def said(told: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keywords of the network alone, without what stands for nothing."""
    return {name: value for name, value in told.items() if not name.startswith(NULL)}


def hideable(told: Mapping[str, Tensor]) -> list[str]:
    """Keywords that guidance can hide."""
    kinds = {condition.name: condition for condition in choices(Condition).values()}
    return [name for name in said(told) if name not in kinds or kinds[name].hideable]


def _replaced(told: Mapping[str, Tensor], put: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
    kinds = {condition.name: condition for condition in choices(Condition).values()}
    left = said(told)
    for name in hideable(told):
        value, null = told[name], told.get(NULL + name)
        if name in kinds:
            kinds[name].check(value, null)
        left[name] = put(value, torch.zeros_like(value[:1]) if null is None else null.to(value))
    return left


def _like(keep: Tensor, value: Tensor) -> Tensor:
    return keep.reshape(-1, *[1] * (value.ndim - 1))
