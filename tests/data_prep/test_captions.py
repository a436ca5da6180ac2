"""Captions beside pictures and recordings: each with its own, wherever its file comes in the source."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep import audio, images
from mmspec.data import PackedDataset
from mmspec.errors import InputError
from tests.data_prep.test_images import write


def picture(value):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def files():
    pictures = {f"set/{value}.png": picture(value) for value in range(20)}
    texts = {f"set/{value}.txt": f"  grey,\n\tof {value}\u2028parts \n".encode() for value in range(20)}
    return pictures | texts


def prepared(source, out, *options):
    assert images.main([str(source), str(out), "--size", "4", "--classes", "none", *options]) == 0
    return out


@pytest.mark.parametrize("name", ["folder", "pictures.zip", "pictures.tar.gz"])
def test_every_picture_keeps_its_caption(files, tmp_path, name):
    out = prepared(write(files, tmp_path / name), tmp_path / "out", "--captions", "--holdout", "0.4")
    for side in ("train", "test"):
        dataset = PackedDataset(out / side)
        assert dataset.captions == [f"grey, of {value} parts" for value in dataset.data[:, 0, 0, 0]]
    assert len(PackedDataset(out / "train")) + len(dataset) == 20


def test_a_picture_without_a_usable_caption_is_left_out_with_the_reason(files, tmp_path):
    del files["set/3.txt"]
    files |= {"set/4.txt": b" \n ", "set/5.txt": b"\xff\xfe\xfa", "set/6.txt": b""}
    out = prepared(write(files, tmp_path / "folder"), tmp_path / "out", "--captions")
    dataset = PackedDataset(out)
    assert sorted(dataset.data[:, 0, 0, 0]) == [0, 1, 2, *range(7, 20)]
    assert dataset.captions == [f"grey, of {value} parts" for value in dataset.data[:, 0, 0, 0]]
    rejected = dict(line.split("\t") for line in (out / "rejected.tsv").read_text().splitlines()[1:])
    assert rejected["set/3.png"] == "no caption (there is no such .txt file beside it)"
    assert rejected["set/4.txt"] == "empty caption" and rejected["set/5.txt"].startswith("not a text")
    assert dataset.meta.rejected == {"no caption": 4, "empty caption": 1, "empty file": 1, "not a text": 1}


def test_without_the_option_texts_are_no_pictures(files, tmp_path):
    out = prepared(write(files, tmp_path / "folder"), tmp_path / "out")
    dataset = PackedDataset(out)
    assert dataset.captions is None and dataset.meta.rejected == {"not a picture": 20}


def test_recordings_have_captions_too(tmp_path):
    (tmp_path / "source").mkdir()
    for name, level in (("loud", 0.5), ("quiet", 0.125)):
        soundfile.write(tmp_path / f"source/{name}.wav", np.full(100, level), 8000)
        (tmp_path / f"source/{name}.txt").write_text(f"a {name} tone\n")
    options = ["--sample-rate", "8000", "--captions"]
    assert audio.main([str(tmp_path / "source"), str(tmp_path / "out"), *options]) == 0
    dataset = PackedDataset(tmp_path / "out")
    assert dataset.captions == ["a loud tone", "a quiet tone"] and dataset.data[0, 0] == 16384


def test_captions_that_do_not_fit_the_samples_are_refused(files, tmp_path):
    out = prepared(write(files, tmp_path / "folder"), tmp_path / "out", "--captions")
    with (out / "captions.txt").open("a") as file:
        file.write("one more\n")
    with pytest.raises(InputError, match=r"captions.txt has 21 lines, expected 20 by its meta.json: make the data"):
        PackedDataset(out).captions  # noqa: B018
