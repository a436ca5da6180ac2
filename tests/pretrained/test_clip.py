"""The text encoder against transformers itself, where that is installed, and its absence."""

import builtins
import sys

import pytest
import torch

from mmspec.errors import InputError
from mmspec.pretrained.clip import TextEncoder
from tests.tiny_clip import save_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


def test_texts_are_embedded_as_transformers_does(folder):
    import transformers

    encoder = TextEncoder(folder)
    embedded = encoder(["a b", ""])
    assert embedded.shape == (2, 7, 16) and encoder.channels == 16 and not embedded.requires_grad
    model = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    with torch.no_grad():
        expected = model(torch.tensor([[6, 3, 4, 7, 7, 7, 7], [6, 7, 7, 7, 7, 7, 7]])).last_hidden_state
    torch.testing.assert_close(embedded, expected)
    assert encoder(["a b c a b c a b c"]).shape == (1, 7, 16)


def test_a_folder_without_a_model_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="holds no CLIP text encoder: give the folder"):
        TextEncoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no CLIP text encoder with its tokenizer") as caught:
        TextEncoder(tmp_path)
    assert "\n" not in str(caught.value)


def test_without_the_package_one_sentence_says_so(tmp_path, monkeypatch):
    known = builtins.__import__

    def absent(name, *arguments):
        if name == "transformers":
            raise ImportError(name)
        return known(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    with pytest.raises(InputError, match=r"pip install 'mmspec\[text\]'"):
        TextEncoder(tmp_path)
