"""Photographs that need no download: held-out parts are held out, and a second run finds its work done."""

import numpy as np
import pytest

from data_prep import photographs
from data_prep.photographs import HELD_OUT, parts, patches
from mmspec.data import PackedDataset


def test_no_column_is_in_both_parts_and_none_is_lost():
    photograph = np.broadcast_to(np.arange(640, dtype=np.uint16)[None, :, None], (4, 640, 3))
    train = np.concatenate([part[0, :, 0] for part in parts(photograph, "train")])
    (test,) = (part[0, :, 0] for part in parts(photograph, "test"))
    assert sorted([*train, *test]) == list(range(640))
    assert len(test) == pytest.approx(640 * (HELD_OUT[1] - HELD_OUT[0]))


def test_patches_are_pieces_of_their_part_of_their_photograph():
    photograph = photographs.photographs()
    found = dict(patches(32, {"train": 12, "test": 12}))
    scale_one = [name for name in found if int(name.split("/")[1][:6]) % 6 in (0, 3)]
    assert len(scale_one) == 8
    for name in scale_one:
        patch = found[name]
        regions = parts(photograph[patch.label], name.split("/")[0])
        windows = (np.lib.stride_tricks.sliding_window_view(region, (32, 32), (0, 1)) for region in regions)
        assert any((window[:, :, :, 0, 0] == patch.data[0, 0]).all(-1).any() for window in windows)
        assert patch.data.shape == (32, 32, 3) and patch.label in ("china", "flower")


def test_photographs(tmp_path, capsys):
    arguments = [str(tmp_path / "out"), "--size", "16", "--train", "60", "--test", "24"]
    assert photographs.main(arguments) == 0
    train, test = PackedDataset(tmp_path / "out" / "train"), PackedDataset(tmp_path / "out" / "test")
    assert (len(train), len(test), train.meta.shape, train.meta.classes) == (60, 24, (3, 16, 16), ("china", "flower"))
    assert np.bincount(train.labels).tolist() == [30, 30] and np.bincount(test.labels).tolist() == [12, 12]
    assert train.data.std(axis=(1, 2, 3)).min() > 1, "no patch is flat"
    before = train.meta.sha256
    assert photographs.main(arguments) == 0 and "up to date" in capsys.readouterr().out
    assert photographs.main([str(tmp_path / "again"), *arguments[1:]]) == 0
    assert PackedDataset(tmp_path / "again" / "train").meta.sha256 == before


def test_a_patch_larger_than_the_held_out_part_is_refused(tmp_path, capsys):
    assert photographs.main([str(tmp_path / "out"), "--size", "129"]) == 2
    assert capsys.readouterr().err == (
        "error: --size 129 does not fit into the test part of the photographs: give less.\n"
    )
    assert not list(tmp_path.iterdir())
