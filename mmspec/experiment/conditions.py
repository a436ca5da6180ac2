"""What the samples of an experiment are told: their classes, texts and augmentation, by what a configuration says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmspec.data import StoredDataset
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import Context
from mmspec.errors import InputError
from mmspec.experiment.classes import numbers_of
from mmspec.experiment.texts import texts_of
from mmspec.pretrained.clip import TextEncoder
from mmspec.training.batches import Dataset, parts_of
from mmspec.training.run import Run


def choose_classes(denoiser: Denoiser, wanted: str | int, num: int) -> Tensor | None:
    """The number of each sample's class, int64 ``[num]``, or None where none has one.

    Args:
        wanted: "balanced" for all classes in turn, "none" for unconditional where no class is called so, a class's
            name, or its number where no name is one.

    Raises:
        InputError: if the denoiser has no such class.
    """
    numbers = numbers_of(denoiser.classes, wanted, num)
    return None if numbers is None else torch.from_numpy(numbers)


def class_numbers(known: Sequence[str], found: Sequence[str]) -> list[int] | None:
    """The number by which a denoiser knows each class of a data set.

    Names decide, in whatever order they are and even if the denoiser knows more; where it knows its classes by numbers
    alone, as official weights do, and none of these is a name in the data, the order does.

    Args:
        known: the denoiser's classes.
        found: the data set's.

    Returns:
        A number for each of ``found``; None if they do not go together.
    """
    if list(known) == list(found):
        return list(range(len(known)))
    if set(found) <= set(known):
        return [known.index(name) for name in found]
    unnamed = list(known) == [str(number) for number in range(len(known))] and not set(found) & set(known)
    return list(range(len(known))) if unnamed and len(known) == len(found) else None


@dataclass(frozen=True)
class KnownClasses:
    """A data set whose labels are the numbers by which a denoiser knows its classes.

    Args:
        dataset: with numbers of its own.
        numbers: from `class_numbers`.
    """

    dataset: Dataset
    numbers: Sequence[int]

    @property
    def parts(self) -> np.ndarray | None:
        """``[P]``, those of the data set, or None."""
        return parts_of(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """``[B, C, *spatial]``, and labels ``[B]`` int64 or None."""
        x0, labels = self.dataset.batch(indices)
        return x0, None if labels is None else torch.tensor(self.numbers)[labels]


def dataset_context(
    denoiser: Denoiser, dataset: StoredDataset, encoder: str | None, source: str | None
) -> list[Context]:
    """The captions of a data set; nothing for a denoiser that does not look at texts.

    Args:
        encoder: folder of a text encoder; None for that of the run ``source``.

    Raises:
        InputError: if captions or their encoder are missing, or the encoder does not fit the network.
    """
    if "context" not in denoiser.told:
        return []
    if dataset.captions is None:
        other = "network.context_channels=0, or network.type=ClassContextUNet for classes"
        raise InputError(
            f"the network looks at texts (context_channels={denoiser.told['context']}), and {dataset.folder} has no "
            f"captions: prepare the data with --captions, or {'take another init_from' if source else f'set {other}'}."
        )
    return [Context(dataset.captions, text_encoder(denoiser, encoder, source))]


def sampling_context(
    denoiser: Denoiser, num: int, *, text: str | None, captions: str | None, encoder: str | None, source: str
) -> list[Context]:
    """A text for each of ``num`` samples, or else the captions of a data set in turn; nothing for a denoiser that does
    not look at texts.

    Args:
        text: of all samples.
        captions: packed data set; None for data.test of the run.
        encoder: folder of a text encoder; None for that of the run.
        source: the run, if it is one, that the denoiser is from.

    Raises:
        InputError: if a text or its encoder is missing or not needed, or the encoder does not fit the network.
    """
    if "context" not in denoiser.told:
        for key, value in (("text", text), ("captions", captions), ("text_encoder", encoder)):
            if value is not None:
                raise InputError(f"{key}={value}: this denoiser does not look at texts; leave {key} out.")
        return []
    run = Run.at(source)
    texts = texts_of(text, captions, run.data("test") if run else None, num)
    return [Context(texts, text_encoder(denoiser, encoder, source))]


def text_encoder(denoiser: Denoiser, folder: str | None, source: str | None) -> TextEncoder:
    """The encoder in a folder, or else that of the run ``source``.

    Raises:
        InputError: if there is none, or it does not fit the network.
    """
    run = Run.at(source)
    folder = folder or (run.config.get("text_encoder") if run else None)
    if folder is None:
        raise InputError("this denoiser looks at texts: give text_encoder=, the folder of a CLIP model.")
    encoder, width = TextEncoder(folder, next(denoiser.parameters()).device), denoiser.told["context"]
    if encoder.channels != width:
        raise InputError(
            f"text_encoder={folder} embeds words in {encoder.channels} numbers, this denoiser looks at {width}: take "
            "the encoder that it was trained with, or set network.context_channels."
        )
    return encoder
