"""The texts that a denoiser looks at, of training samples and of those to be drawn."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.pretrained.clip import TextEncoder
from mmspec.training.run import read_config


class Texts:
    """A text for each of many samples, and the empty one, as an encoder embeds them.

    Args:
        texts: of the samples.
        encoder: frozen.
    """

    def __init__(self, texts: Sequence[str], encoder: TextEncoder) -> None:
        self.texts, self.encoder = texts, encoder
        self.empty = encoder([""])

    def to(self, device: torch.device) -> "Texts":
        """The same, on a device."""
        self.encoder.to(device)
        self.empty = self.empty.to(device)
        return self

    def __call__(self, indices: Iterable[int]) -> dict[str, Tensor]:
        """``context`` of these samples ``[B, L, D]``, and ``null_context`` ``[1, L, D]``."""
        return {"context": self.encoder([self.texts[i] for i in indices]), "null_context": self.empty}


def training_texts(config: Mapping[str, Any], denoiser: Denoiser, dataset: PackedDataset) -> Texts | None:
    """The captions of what a denoiser trains on; None for a denoiser that does not look at texts.

    Raises:
        InputError: as `dataset_texts`; if recordings are cropped, or a text encoder is given and not needed.
    """
    folder, texts = config["text_encoder"], dataset_texts(config, denoiser, dataset)
    if texts is None and folder is not None:
        raise InputError(f"text_encoder={folder}: this network does not look at texts; leave it out.")
    if texts is not None and config["data"]["crop"] is not None:
        raise InputError("data.crop takes parts of recordings, captions are of whole ones: leave data.crop out.")
    return texts


def dataset_texts(config: Mapping[str, Any], denoiser: Denoiser, dataset: PackedDataset) -> Texts | None:
    """The captions of a data set; None for a denoiser that does not look at texts.

    Raises:
        InputError: if captions or their encoder are missing, or the encoder does not fit the network.
    """
    if "context" not in denoiser.conditions:
        return None
    if dataset.captions is None:
        raise InputError(
            f"this UNet looks at texts, and {dataset.folder} has none: prepare the data with --captions, or set "
            "network.type=ClassContextUNet for classes, or network.context_channels=0."
        )
    return Texts(dataset.captions, _encoder(config, denoiser))


def sampling_texts(config: Mapping[str, Any], denoiser: Denoiser, num: int) -> Texts | None:
    """``config["text"]`` for each of ``num`` samples, or else the captions of the data set ``config["captions"]`` (or
    of the run's data.test) in turn; None for a denoiser that does not look at texts.

    Raises:
        InputError: if a text or its encoder is missing or not needed, or the encoder does not fit the network.
    """
    text = config["text"]
    if "context" not in denoiser.conditions:
        if text is not None:
            raise InputError(f"text={text!r}: this denoiser does not look at texts; leave it out.")
        return None
    folder = config.get("captions") or _run(config).get("data", {}).get("test")
    captions = [str(text)] if text is not None else PackedDataset(folder).captions if folder else None
    if captions is None:
        raise InputError(
            "this denoiser looks at a text: give text=, what its samples shall show, or captions=, a packed data set "
            "that was prepared with --captions."
        )
    return Texts([captions[i % len(captions)] for i in range(num)], _encoder(config, denoiser))


def _run(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the run that a denoiser is from, if it is from one."""
    folder = config.get("from")
    return read_config(Path(folder)) if folder and (Path(folder) / "config.yaml").is_file() else {}


def _encoder(config: Mapping[str, Any], denoiser: Denoiser) -> TextEncoder:
    """The encoder that a configuration names, or else the run's."""
    folder = config["text_encoder"] or _run(config).get("text_encoder")
    if folder is None:
        raise InputError("this denoiser looks at texts: give text_encoder=, the folder of a CLIP model.")
    encoder, width = TextEncoder(folder, next(denoiser.parameters()).device), denoiser.conditions["context"]
    if encoder.channels != width:
        raise InputError(
            f"text_encoder={folder} embeds words in {encoder.channels} numbers, this denoiser looks at {width}: take "
            "the encoder that it was trained with, or set network.context_channels."
        )
    return encoder
