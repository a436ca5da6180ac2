"""Texts as CLIP's text encoder sees them, for models that look at them (Radford et al. 2021)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.errors import InputError


class TextEncoder:
    """A fixed encoder of texts, out of a local folder.

    Args:
        folder: of a CLIP model that transformers saved, or of a model that diffusers saved, with the subfolders
            ``text_encoder`` and ``tokenizer``.
        device: where it runs.

    Attributes:
        channels: D, of an embedding.

    Raises:
        InputError: if the package transformers is missing, or there is no such model in the folder.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu") -> None:
        try:
            from transformers import AutoTokenizer, CLIPTextModel
        except ImportError:
            raise InputError(
                "texts need a package that is not installed: pip install 'mmspec[text]', or leave the text out."
            ) from None
        places = [Path(folder) / name for name in ("text_encoder", "tokenizer")]
        weights, words = places if places[0].is_dir() else [Path(folder)] * 2
        if not (weights / "config.json").is_file():
            raise InputError(f"{folder} holds no CLIP text encoder: give the folder of one that is on this machine.")
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(words, local_files_only=True)
            self.model: Any = CLIPTextModel.from_pretrained(weights, local_files_only=True)
        except Exception as error:
            raise InputError(
                f"{folder} holds no CLIP text encoder with its tokenizer ({' '.join(str(error).split())[:200]})."
            ) from None
        self.model.eval().requires_grad_(False)  # type: ignore[no-untyped-call]
        self.to(device)
        self.length = int(self.model.config.max_position_embeddings)
        self.channels = int(self.model.config.hidden_size)

    def to(self, device: str | torch.device) -> "TextEncoder":
        """The same, on a device."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Embeddings ``[B, L, D]`` of texts: the last layer's, of as many words as the model has places."""
        words = self.tokenizer(
            list(texts), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )
        embeddings: Tensor = self.model(words["input_ids"].to(self.model.device)).last_hidden_state
        return embeddings
