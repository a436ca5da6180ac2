"""Texts as an exported encoder of them sees them, without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmspec.errors import InputError
from mmspec.exported.session import AGAIN, call, session

TEXT_ENCODER, TOKENIZER, TOKENS = "text_encoder", "tokenizer.json", "input_ids"


class ExportedTextEncoder:
    """The graph of a text encoder, and its tokenizer.

    Args:
        folder: that ``mmspec export`` wrote.
        device: as of `mmspec.exported.model.ExportedDenoiser`.

    Raises:
        InputError: if a package is missing, or it refuses a file.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise InputError(f"{folder / TOKENIZER} needs tokenizers: pip install tokenizers.") from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # its class is its own
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{folder / TOKENIZER} is refused by tokenizers ({reason}): {AGAIN}.") from None
        self._graph = session(folder / f"{TEXT_ENCODER}.onnx", device)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings ``[B, L, D]`` float32 of texts."""
        words = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        return call(self._graph, {TOKENS: np.array(words, np.int64)})
