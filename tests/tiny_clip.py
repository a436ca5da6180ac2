"""A tiny random CLIP text encoder that knows the words a, b and c, as diffusers saves it."""

import json

import pytest
import torch

WORDS = ["a", "b", "c", "a</w>", "b</w>", "c</w>", "<|startoftext|>", "<|endoftext|>"]


def save_tiny_clip(folder):
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed")
    torch.manual_seed(0)
    config = transformers.CLIPTextConfig(vocab_size=len(WORDS), hidden_size=16, intermediate_size=32,
                                         num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=7,
                                         bos_token_id=6, eos_token_id=7, pad_token_id=7)  # fmt: skip
    transformers.CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    words = folder / "words"
    words.mkdir()
    (words / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(WORDS)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"))
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder
