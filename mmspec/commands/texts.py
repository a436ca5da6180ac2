"""The text that samples are drawn from."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.pretrained.clip import TextEncoder


def embedded_text(config: Mapping[str, Any], denoiser: Denoiser) -> tuple[Tensor, Tensor] | None:
    """Embeddings of ``config["text"]`` and of the empty text, each ``[1, L, D]``; None for a denoiser without context.

    Raises:
        InputError: if a text or its encoder is missing or not needed, or embeds into another width than the network
            looks at.
    """
    text, folder = config["text"], config["text_encoder"]
    width = getattr(denoiser.network, "context_channels", 0)
    if not width or denoiser.classes:
        if text is not None:
            raise InputError(f"text={text!r}: this denoiser does not look at texts; leave it out.")
        return None
    if text is None or folder is None:
        missing = "text=, what its samples shall show" if text is None else "text_encoder=, the folder of a CLIP model"
        raise InputError(f"this denoiser looks at a text: give {missing}.")
    encoder = TextEncoder(folder, next(denoiser.parameters()).device)
    if encoder.channels != width:
        raise InputError(
            f"text_encoder={folder} embeds words in {encoder.channels} numbers, this denoiser looks at {width}: take "
            "the encoder that it was trained with."
        )
    return encoder([str(text)]), encoder([""])
