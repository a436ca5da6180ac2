"""A start from other weights, and a class that is asked for, go by names."""

import numpy as np
import pytest
import torch

from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import Labels
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.experiment.conditions import choose_classes, class_numbers
from mmspec.networks import UNet

OPTIONS = ["trainer.batch_size=6", "trainer.max_steps=1", "trainer.device=cpu", "trainer.tensorboard=false"]


def base(folder, classes):
    torch.manual_seed(0)
    network = UNet(model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=(), num_classes=len(classes))
    Denoiser(network, EDM(0.5), (3, 8, 8), classes=classes).save_pretrained(folder)
    return folder


def data(folder, classes):
    """Six pictures, of the classes in turn, each as grey as its label says."""
    labels = np.arange(6) % len(classes)
    pixels = np.broadcast_to((labels * 40).astype(np.uint8)[:, None, None, None], (6, 8, 8, 3))
    meta = DatasetMeta(modality="image", source="test", classes=classes, statistics={"sigma_data": 0.5})
    write_packed(folder, np.ascontiguousarray(pixels), labels, meta=meta)
    return folder


def train(tmp_path, *options):
    run = [f"run_dir={tmp_path / 'run'}", f"init_from={tmp_path / 'base'}", f"data.train={tmp_path / 'data'}"]
    return main(["train", *run, *OPTIONS, *options])


@pytest.fixture
def told(monkeypatch):
    """Pairs (label in the data, class that the network is told)."""
    pairs = set()
    of = Labels.of

    def listening(self, batch):
        rows = of(self, batch)
        if rows is not None and batch.clips is not None:
            greys = ((batch.clips.mean((1, 2, 3)) + 1) * 127.5 / 40).round().int()
            pairs.update(zip(greys.tolist(), rows.argmax(1).tolist(), strict=True))
        return rows

    monkeypatch.setattr(Labels, "of", listening)
    return pairs


@pytest.mark.parametrize(
    ("known", "found", "numbers"),
    [
        (("apple", "grass", "sky"), ("apple", "grass", "sky"), [0, 1, 2]),
        (("apple", "grass", "sky"), ("sky", "apple", "grass"), [2, 0, 1]),
        (("apple", "grass", "sky", "sun"), ("sky", "sun"), [2, 3]),
        (("0", "1", "2"), ("cat", "dog", "wild"), [0, 1, 2]),
        (("0", "1", "2"), ("2", "0"), [2, 0]),
        (("1", "2", "3"), ("3", "1"), [2, 0]),
    ],
)
def test_the_network_is_told_the_class_of_the_same_name(tmp_path, told, known, found, numbers):
    base(tmp_path / "base", known)
    data(tmp_path / "data", found)
    assert train(tmp_path) == 0
    assert told == set(enumerate(numbers))
    trained = Denoiser.from_pretrained(tmp_path / "run/checkpoints/step_00000001/ema")
    assert tuple(trained.classes) == known


def test_a_preview_shows_the_classes_of_the_denoiser_in_turn(tmp_path, monkeypatch):
    base(tmp_path / "base", ("apple", "grass", "sky", "sun"))
    data(tmp_path / "data", ("sky", "sun"))
    shown = []
    of = Labels.of
    monkeypatch.setattr(Labels, "of", lambda self, batch: shown.append(batch.labels.tolist()) or of(self, batch))
    assert train(tmp_path, "preview.num=4", "preview.steps=1", "trainer.sample_every=1") == 0
    assert sorted(shown[0]) == [2, 2, 2, 3, 3, 3] and shown[1:] == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("known", "found"),
    [
        (("apple", "grass", "sky"), ("grass", "sky", "sun")),
        (("apple", "grass", "sky"), ("0", "1", "2")),
        (("apple", "grass"), ("apple", "grass", "sky")),
        (("0", "1", "2"), ("1", "2", "3")),  # "1" is a name of both, and not the first
        (tuple(map(str, range(20))), ("cat", "dog")),
    ],
)
def test_other_names_are_refused_and_both_lists_are_named(tmp_path, capsys, known, found):
    base(tmp_path / "base", known)
    data(tmp_path / "data", found)
    assert train(tmp_path) == 2
    said = capsys.readouterr().err
    assert f"({', '.join(known[:12])}{' ...' if len(known) > 12 else ''})" in said and f"({', '.join(found)})" in said
    assert "data.labels=false" in said and "Traceback" not in said
    assert train(tmp_path, "data.labels=false") == 0


def test_a_class_is_chosen_by_its_name_first(tmp_path):
    denoiser = Denoiser.from_pretrained(base(tmp_path, ("1", "2", "3")))
    assert [choose_classes(denoiser, wanted, 1).item() for wanted in ("1", 1, "2", "3", 3)] == [0, 0, 1, 2, 2]


def test_a_class_called_none_is_drawn_and_balanced_is_all_in_turn(tmp_path):
    denoiser = Denoiser.from_pretrained(base(tmp_path, ("cat", "none", "balanced", "null", "true")))
    drawn = {wanted: choose_classes(denoiser, wanted, 5) for wanted in ("none", "balanced", 2, "null", "true")}
    assert {wanted: classes.tolist() for wanted, classes in drawn.items()} == {
        "none": [1] * 5,
        "balanced": [0, 1, 2, 3, 4],
        2: [2] * 5,
        "null": [3] * 5,
        "true": [4] * 5,
    }
    assert choose_classes(Denoiser.from_pretrained(base(tmp_path / "other", ("cat", "dog"))), "none", 5) is None


@pytest.mark.parametrize("wanted", [0, "0", 4])
@pytest.mark.parametrize(
    "names", [("1", "2", "3"), ("dog", "2", "3"), ("01", "02", "03"), ("1.0", "2.0", "3.0"), ("-1", "x")]
)
def test_where_a_name_is_a_number_a_number_is_a_name(tmp_path, names, wanted):
    denoiser = Denoiser.from_pretrained(base(tmp_path, names))
    with pytest.raises(InputError) as caught:
        choose_classes(denoiser, wanted, 1)
    assert str(caught.value) == f"labels={wanted} is no class: expected balanced, none, or one of {', '.join(names)}."
    assert [choose_classes(denoiser, name, 1).item() for name in names] == list(range(len(names)))


def test_where_no_name_is_a_number_a_number_is_a_place(tmp_path):
    denoiser = Denoiser.from_pretrained(base(tmp_path, ("cat", "dog", "n02084071")))
    assert [choose_classes(denoiser, wanted, 1).item() for wanted in (0, "1", 2, "dog")] == [0, 1, 2, 1]
    with pytest.raises(InputError, match="a number from 0 to 2, or one of cat, dog"):
        choose_classes(denoiser, 3, 1)


def test_a_class_of_leading_zeros_is_named_on_the_command_line(tmp_path):
    base(tmp_path / "base", ("01", "02"))
    given = [f"from={tmp_path / 'base'}", f"out={tmp_path / 'out'}", "num=2", "steps=1", "device=cpu"]
    assert main(["sample", *given, "labels=02"]) == 0
    assert np.load(tmp_path / "out/labels.npy").tolist() == [1, 1]


def test_names_that_do_not_go_together_have_no_numbers():
    assert class_numbers(("a", "b"), ("b", "c")) is None and class_numbers(("0", "1"), ("a", "b", "c")) is None
