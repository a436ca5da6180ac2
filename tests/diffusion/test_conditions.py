"""Conditions: what is hidden, what takes its place, and guidance towards each of them."""

import pytest
import torch

from mmspec.components import choices
from mmspec.diffusion.conditions import Batch, Condition, Context, Labels, hide, hideable, kind, nothing, said, tell
from mmspec.diffusion.guidance import Guided

TOLD = {
    "labels": torch.eye(3),
    "context": torch.arange(12.0).view(3, 2, 2),
    "null_context": -torch.ones(1, 2, 2),
    "spectrogram": torch.arange(1.0, 13.0).view(3, 2, 2),
    "augment_labels": torch.ones(3, 9),
}


def test_what_is_told_is_made_of_the_batch():
    texts = ["a", "bb", "ccc"]
    context = Context(texts, lambda some: torch.tensor([[[float(len(text))]] for text in some]))
    told = tell([Labels(3), context], Batch(labels=torch.tensor([2, 0]), indices=[2, 1]))
    assert told["labels"].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert told["context"].flatten().tolist() == [3, 2]
    assert told["null_context"].tolist() == [[[0]]]
    assert "labels" not in tell([Labels(3)], Batch(indices=[0]))


def test_hidden_rows_are_zeros_or_the_empty_text_and_augmentation_is_never_hidden():
    left = hide(TOLD, torch.tensor([1.0, 0.0, 1.0]))
    assert left.keys() == {"labels", "context", "spectrogram", "augment_labels"}
    for name in ("labels", "spectrogram"):
        assert torch.equal(left[name][[0, 2]], TOLD[name][[0, 2]]) and not left[name][1].any()
    assert torch.equal(left["context"][1], TOLD["null_context"][0])
    assert torch.equal(left["augment_labels"], TOLD["augment_labels"])


def test_nothing_is_all_hidden():
    for name, value in nothing(TOLD).items():
        assert torch.equal(value, hide(TOLD, torch.zeros(3))[name])


@pytest.mark.parametrize("name", ["labels", "context", "spectrogram"])
def test_guidance_follows_every_condition_that_can_be_hidden(name):
    told = {key: value for key, value in TOLD.items() if key.removeprefix("null_") == name}
    x, sigma = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3)

    def denoiser(x, sigma, **cond):
        return x * cond[name].flatten(1).sum(1)[:, None, None] + sigma[:, None, None]

    assert hideable(told) == [name]
    without, with_it = denoiser(x, sigma, **nothing(told)), denoiser(x, sigma, **said(told))
    torch.testing.assert_close(Guided(denoiser, 3.0)(x, sigma, **told), without + 3 * (with_it - without))


@pytest.mark.parametrize("made", choices(Condition).values(), ids=choices(Condition))
def test_examples_are_hidden_behind_something_of_their_shape(made):
    assert kind(made.name) is made
    value = made.example(5, 2, (1, 512), 7)
    assert value.shape[0] == 2 and 5 in value.shape[1:]
    null = value[:1] if made is Context else None
    assert made.nothing(value, null).shape == (1, *value.shape[1:])


def test_what_cannot_be_hidden_says_why():
    with pytest.raises(ValueError, match="one-hot rows"):
        hide({"labels": torch.tensor([0, 1])}, torch.ones(2))
    with pytest.raises(ValueError, match="null_context="):
        hide({"context": torch.ones(2, 1, 1)}, torch.ones(2))
