"""Drawn digits: whole, white on black, of every class and typeface, and the same each time."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from data_prep import drawn_digits
from mmspec.data import PackedDataset


def test_the_packed_set(tmp_path):
    arguments = [str(tmp_path / "out"), "--train", "60", "--test", "30"]
    assert drawn_digits.main(arguments) == 0
    train, test = (PackedDataset(tmp_path / "out" / part) for part in ("train", "test"))
    assert (train.meta.shape, train.meta.classes) == ((1, 32, 32), tuple("0123456789"))
    assert np.bincount(train.labels).tolist() == [6] * 10 and np.bincount(test.labels).tolist() == [3] * 10
    assert len(np.unique(np.concatenate([train.data, test.data]), axis=0)) == 90, "no two are equal"
    assert drawn_digits.main([str(tmp_path / "again"), *arguments[1:]]) == 0
    assert PackedDataset(tmp_path / "again" / "train").meta.sha256 == train.meta.sha256


@pytest.mark.parametrize("size", [24, 33, 64])
def test_every_digit_of_every_typeface_is_whole_and_of_the_height_drawn(size):
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for typeface in drawn_digits.TYPEFACES:
        for digit in "0123456789":
            draw = np.random.default_rng(int(digit))
            pixels = drawn_digits.picture(digit, folder / f"{typeface}.ttf", size, draw)[..., 0]
            assert pixels.shape == (size, size) and pixels.dtype == np.uint8
            border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
            assert border.max() == 0, f"{digit} in {typeface} touches the border"
            rows = np.flatnonzero(pixels.max(1) > 64)
            wanted = np.random.default_rng(int(digit)).uniform(*drawn_digits.HEIGHTS) * size
            assert rows[-1] - rows[0] + 1 == pytest.approx(wanted, abs=2.5)


def test_the_same_digit_looks_alike_over_typefaces():
    """A mean of each digit tells new ones apart: they are digits, not boxes of missing glyphs."""
    found = list(drawn_digits.digits(32, {"train": 400, "test": 200}))
    means = np.stack(
        [np.mean([s.data for n, s in found if n.startswith("train") and s.label == d], 0) for d in "0123456789"]
    )
    blurred = [
        np.asarray(Image.fromarray(s.data[..., 0]).reduce(4), float).ravel() for n, s in found if n.startswith("test")
    ]
    means = np.stack([np.asarray(Image.fromarray(m[..., 0].astype(np.uint8)).reduce(4), float).ravel() for m in means])
    guesses = [int(np.argmin(((means - each) ** 2).sum(1))) for each in blurred]
    labels = [int(s.label) for n, s in found if n.startswith("test")]
    assert np.mean(np.array(guesses) == labels) > 0.8
