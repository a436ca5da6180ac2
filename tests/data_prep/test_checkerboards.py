"""Checkerboards: what they look like, and that the same ones are drawn again."""

import numpy as np

from data_prep.checkerboards import main
from mmspec.data import PackedDataset


def test_every_picture_is_a_board_somewhere(tmp_path):
    assert main([str(tmp_path), "--size", "29", "--side", "5", "--train", "60", "--test", "5"]) == 0
    train, test = (PackedDataset(tmp_path / part) for part in ("train", "test"))
    assert train.data.shape == (60, 29, 29, 1) and test.data.shape == (5, 29, 29, 1)
    white = np.asarray(train.data[..., 0]) == 255
    assert ((np.asarray(train.data[..., 0]) == 0) == ~white).all()
    rows, columns = white[:, :, :1] ^ white[:, :1, :1], white[:, :1, :]
    np.testing.assert_array_equal(white, rows ^ columns)
    for row in columns[:, 0]:
        assert set(np.diff(np.flatnonzero(np.diff(row.astype(int))))) == {5}
    assert len(np.unique(white, axis=0)) > 30  # of the 50 that there are
    assert not np.array_equal(train.data[:5], test.data)


def test_the_same_command_draws_the_same_and_another_is_refused(tmp_path, capsys):
    for folder in ("first", "second"):
        assert main([str(tmp_path / folder), "--size", "16", "--train", "4", "--test", "2"]) == 0
    first, second = (PackedDataset(tmp_path / folder / "train") for folder in ("first", "second"))
    assert first.meta.sha256 == second.meta.sha256
    capsys.readouterr()
    assert main([str(tmp_path / "first"), "--size", "24", "--train", "4", "--test", "2"]) == 2
    assert "--size" in capsys.readouterr().err
