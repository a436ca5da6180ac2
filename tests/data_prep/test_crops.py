"""Crops of photographs: pieces of the pixels that are there, all of a photograph on one side."""

import numpy as np
import pytest
from PIL import Image

from data_prep import crops
from data_prep.sources import open_source
from mmspec.data import PackedDataset


@pytest.fixture
def photographs(tmp_path):
    """Ten, of two sizes, of which each pixel says where it is: red the row, green the column, blue the photograph."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index in range(10):
        height, width = (60, 90) if index % 2 else (90, 60)
        rows, columns = np.mgrid[:height, :width]
        pixels = np.stack([rows, columns, np.full_like(rows, 20 * index)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def stored(folder):
    """Pixels ``[N, H, W, 3]`` as they were."""
    dataset = PackedDataset(folder)
    pixels = dataset.batch(np.arange(len(dataset)))[0]
    return ((pixels + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()


def test_crops_are_whole_pieces_of_their_photographs_and_each_photograph_is_on_one_side(photographs, tmp_path):
    assert (
        crops.main([str(photographs), str(tmp_path / "out"), "--size", "16", "--count", "6", "--holdout", "0.4"]) == 0
    )
    sides = {side: stored(tmp_path / "out" / side) for side in ("train", "test")}
    assert sum(map(len, sides.values())) == 60
    for found in sides.values():
        assert len(found) and (found[:, :, :, 0] - found[:, :1, :, 0] == np.arange(16)[:, None]).all()
        assert (found[:, :, :, 1] - found[:, :, :1, 1] == np.arange(16)).all()
    photographs_of = {side: set(np.unique(found[..., 2])) for side, found in sides.items()}
    assert not photographs_of["train"] & photographs_of["test"] and len(photographs_of["train"]) > 1


def test_a_reduction_takes_means(photographs, tmp_path):
    found = dict(crops.crops(open_source(photographs), 16, 4, scale=2))
    assert len(found) == 40
    for name, sample in found.items():
        step = np.diff(sample.data.astype(int), axis=0)
        assert sample.data.shape == (16, 16, 3) and (step[..., 0] == 2).all(), name
        corner = sample.data[0, 0].astype(int)
        assert corner[2] == 20 * int(name.split(".")[0].rsplit("/", 1)[-1])


def test_more_photographs_move_no_crop(photographs, tmp_path):
    before = dict(crops.crops(open_source(photographs), 16, 3))
    Image.new("RGB", (80, 80)).save(photographs / "00.png")
    after = dict(crops.crops(open_source(photographs), 16, 3))
    assert len(after) == len(before) + 3
    assert all((after[name].data == sample.data).all() for name, sample in before.items())


def test_what_is_too_small_or_no_picture_is_counted(photographs, tmp_path, capsys):
    Image.new("RGB", (20, 200)).save(photographs / "narrow.png")
    (photographs / "notes.txt").write_text("notes")
    out = tmp_path / "out"
    assert crops.main([str(photographs), str(out), "--size", "16", "--reduce", "2", "--count", "2"]) == 0
    printed = capsys.readouterr().out
    assert "too small 1" in printed and "not a picture 1" in printed
    assert sum(len(PackedDataset(out / side)) for side in ("train", "test")) == 20
