import base64
import io

import numpy as np
import pytest
from PIL import Image

from mmspec.data import DatasetMeta, open_dataset, write_packed
from mmspec.report.samples import gallery

NOTES = tuple("abcdefg")


def notes(folder, labels):
    meta = DatasetMeta(modality="audio", source="test", sample_rate=4000, classes=NOTES)
    write_packed(folder, np.zeros((len(labels), 400), np.int16), labels=labels, meta=meta)
    return open_dataset(folder)


def greys(folder, labels, classes):
    """Pictures whose grey is their class."""
    pixels = np.broadcast_to(labels[:, None, None, None] * 20, (len(labels), 16, 16, 1)).astype(np.uint8)
    meta = DatasetMeta(modality="image", source="test", classes=tuple(map(str, range(classes))))
    write_packed(folder, pixels, labels=labels, meta=meta)
    return open_dataset(folder)


def places(shown):
    """The class at each place of a grid of `greys`, row by row."""
    width = 64 + 4  # enlarged, and a gap
    grid = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.grid.split(",")[1]))).convert("LA"))
    cells = grid[32::width, 32::width]
    return [[int(grey) // 20 for grey, alpha in row if alpha] for row in cells]


def test_real_and_made_recordings_are_of_the_same_classes_in_turn(tmp_path):
    rng = np.random.default_rng(0)
    real = gallery(notes(tmp_path / "real", rng.permutation(np.arange(70) % 7)), "real", 0)
    made = gallery(notes(tmp_path / "made", np.arange(14) % 7), "made", 1)
    assert [clip.name for clip in real.clips] == [clip.name for clip in made.clips]
    assert len({clip.name for clip in real.clips}) == 6


@pytest.mark.parametrize("classes, columns", [(10, 10), (3, 9), (2, 10)])
def test_a_class_keeps_its_column(tmp_path, classes, columns):
    rng = np.random.default_rng(0)
    shown = gallery(greys(tmp_path / "set", rng.permutation(np.arange(400) % classes), classes), "real", 0)
    rows = places(shown)
    assert {len(row) for row in rows[:-1]} == {columns}
    assert all(cell == place % classes for row in rows for place, cell in enumerate(row))
    assert shown.caption.startswith(f"{sum(map(len, rows))} of 400")


def test_where_a_class_is_rare_the_set_is_shown_as_it_lies(tmp_path):
    labels = np.zeros(100, np.int64)
    labels[-1] = 1
    rows = places(gallery(greys(tmp_path / "set", labels, 2), "real", 0))
    assert [cell for row in rows for cell in row] == [0] * 63 + [1]
