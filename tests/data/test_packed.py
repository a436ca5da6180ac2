"""The packed format: exact conversions, one gather a batch, nothing foreign or half-written accepted."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.data.packed import DataFile, complete
from mmspec.data.values import decode, encode
from mmspec.errors import InputError
from mmspec.files import staged

PICTURES = DatasetMeta(modality="image", source="test", classes=("a", "b", "c"))
SOUND = DatasetMeta(modality="audio", source="test", sample_rate=8000)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[PackedDataset, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    data = draw.integers(0, 256, (20, 5, 7, 3), dtype=np.uint8)
    labels = draw.integers(0, 3, 20)
    write_packed(tmp_path / "set", data, labels, meta=PICTURES)
    return PackedDataset(tmp_path / "set"), data, labels


def test_every_stored_value_of_a_picture_decodes_by_its_formula_and_comes_back():
    stored = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    x0 = decode(stored)
    assert x0.shape == (4, 1, 8, 8) and x0.dtype == torch.float32 and x0.is_contiguous()
    torch.testing.assert_close(x0.flatten(), torch.arange(256) / 127.5 - 1, rtol=0, atol=0)
    np.testing.assert_array_equal(encode(x0), stored)


def test_every_stored_value_of_sound_decodes_by_its_formula_and_comes_back():
    stored = np.arange(-32768, 32768).astype(np.int16).reshape(4, -1)
    x0 = decode(stored)
    assert x0.shape == (4, 1, 16384)
    torch.testing.assert_close(x0.flatten(), torch.arange(-32768, 32768) / 32768, rtol=0, atol=0)
    np.testing.assert_array_equal(encode(x0), stored)


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 4, 5), (2, 1, 9), (2, 2, 9)])
def test_encoding_clips_and_decodes_to_the_same_shape(shape):
    x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    back = decode(encode(x))
    assert back.shape == shape
    torch.testing.assert_close(back, x.clamp(-1, 1), rtol=0, atol=1.01 / 127.5 if len(shape) == 4 else 1.5 / 32767)


@pytest.mark.parametrize("bad", [torch.zeros(4), torch.full((1, 1, 4), float("nan")), torch.full((1, 1, 4), torch.inf)])
def test_encoding_refuses_what_cannot_be_stored(bad):
    with pytest.raises(ValueError, match=r"expected signals|NaN or infinity"):
        encode(bad)


@pytest.mark.parametrize("as_indices", [list, np.array, torch.tensor])
def test_a_batch_is_the_rows_of_the_array(pictures, as_indices):
    dataset, data, labels = pictures
    rows = [3, 19, 3, 0]
    x0, found = dataset.batch(as_indices(rows))
    torch.testing.assert_close(x0, torch.from_numpy(data[rows]).permute(0, 3, 1, 2) / 127.5 - 1, rtol=0, atol=0)
    np.testing.assert_array_equal(found, labels[rows])
    assert len(dataset) == 20 and dataset.meta.shape == (3, 5, 7) and found.dtype == torch.int64
    with pytest.raises(IndexError):
        dataset.batch([20])


def test_mono_and_stereo_sound_and_lengths(tmp_path):
    data = np.random.default_rng(0).integers(-32768, 32768, (6, 50, 2)).astype(np.int16)
    write_packed(tmp_path / "stereo", data, meta=SOUND)
    write_packed(tmp_path / "mono", data[..., :1], lengths=np.arange(1, 7), meta=SOUND)
    stereo, mono = PackedDataset(tmp_path / "stereo"), PackedDataset(tmp_path / "mono")
    x0, labels = stereo.batch([4, 1])
    assert labels is None and stereo.lengths is None and stereo.meta.shape == (2, 50)
    np.testing.assert_array_equal(x0, data[[4, 1]].transpose(0, 2, 1) / np.float32(32768))
    assert mono.data.shape == (6, 50) and mono.meta.shape == (1, 50)
    np.testing.assert_array_equal(mono.batch([4, 1])[0][:, 0], x0[:, 0])
    np.testing.assert_array_equal(mono.lengths, np.arange(1, 7))


def test_batches_are_copies_and_the_map_is_read_only(pictures):
    dataset, data, _ = pictures
    dataset.batch([0])[0].fill_(0)
    np.testing.assert_array_equal(dataset.data, data)
    assert not dataset.data.flags.writeable


def test_pickles_as_its_path_and_reads_from_many_threads(pictures):
    dataset, data, _ = pictures
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda i: again.batch([i % 20, (i + 1) % 20])[0], range(100)))
    for i, x0 in enumerate(batches):
        np.testing.assert_array_equal(encode(x0), data[[i % 20, (i + 1) % 20]])


def test_meta_comes_back_as_written(tmp_path):
    counts = {"rejected": {"empty file": 2}, "converted": {"CMYK to RGB": 1}}
    meta = replace(PICTURES, **counts, statistics={"mean": 0.25}, preparation={"--size": 4})
    written = write_packed(tmp_path / "set", np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 2]), meta=meta)
    found = PackedDataset(tmp_path / "set").meta
    assert found == written == replace(meta, count=2, shape=(1, 4, 4), sha256=found.sha256)
    assert json.loads((tmp_path / "set" / "meta.json").read_text())["kept"] == 2


def test_verify_finds_one_changed_byte(pictures):
    dataset, _, _ = pictures
    dataset.verify()
    with (dataset.folder / "data.npy").open("r+b") as file:
        file.seek(-1, 2)
        byte = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(InputError, match=r"data\.npy does not match its checksum"):
        PackedDataset(dataset.folder).verify()


def _truncate(folder: Path) -> None:
    path = folder / "data.npy"
    path.write_bytes(path.read_bytes()[:-1])


def _edit(**changes: object):
    def edit(folder: Path) -> None:
        path = folder / "meta.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def _drop(key: str):
    def drop(folder: Path) -> None:
        path = folder / "meta.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))

    return drop


def test_a_folder_of_packed_sets_names_them(tmp_path):
    write_packed(tmp_path / "cats/train", np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 2]), meta=PICTURES)
    with pytest.raises(InputError, match=r"cats is not a packed data set .*: give one of those in it, .*cats/train\.$"):
        PackedDataset(tmp_path / "cats")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "meta.json").unlink(), r"is not a packed data set \(it has no meta.json\)"),
        (lambda folder: (folder / "meta.json").write_text("{"), "meta.json is not JSON"),
        (lambda folder: (folder / "meta.json").write_text("[]"), "meta.json holds no keys and values"),
        (_edit(format="other-2"), "has the format 'other-2', expected 'mmspec-packed-1'"),
        (_drop("shape"), "meta.json lacks shape"),
        (_edit(modality="video"), "modality='video'"),
        (_edit(count=0), "count=0"),
        (_edit(shape=[3, 5]), r"shape=\(3, 5\)"),
        (_edit(classes=[]), r"classes=\[\]"),
        (_edit(count=21), r"data.npy holds uint8 \[20, 5, 7, 3\], expected uint8 \[21, 5, 7, 3\]"),
        (lambda folder: (folder / "data.npy").unlink(), "data.npy is missing"),
        (lambda folder: (folder / "data.npy").write_bytes(b""), "data.npy is truncated or not a NumPy array"),
        (lambda folder: (folder / "data.npy").write_text("hello, world"), "data.npy is truncated or not a NumPy array"),
        (_truncate, "data.npy is truncated or not a NumPy array"),
        (lambda folder: (folder / "data.npy").open("ab").write(b"xx"), "data.npy is 2 bytes longer"),
        (lambda folder: np.save(folder / "data.npy", np.zeros((20, 5, 7, 3))), "data.npy holds float64"),
        (lambda folder: (folder / "labels.npy").unlink(), "labels.npy is missing"),
        (lambda folder: np.save(folder / "labels.npy", np.full(20, 3)), "labels.npy has values outside 0 to 2"),
        (lambda folder: np.save(folder / "labels.npy", np.zeros(19, int)), r"labels.npy holds int64 \[19\]"),
        (lambda folder: np.save(folder / "labels.npy", np.array([{}] * 20)), "labels.npy is truncated or not a NumPy"),
    ],
)
def test_opening_refuses_what_is_missing_truncated_or_foreign_in_one_sentence(pictures, damage, message):
    folder = pictures[0].folder
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        PackedDataset(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_writing_replaces_a_packed_set_and_nothing_else(tmp_path):
    data = np.zeros((2, 4, 4, 1), np.uint8)
    meta = replace(PICTURES, classes=None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="other exists and is not a packed data set"):
        write_packed(tmp_path / "other", data, meta=meta)
    assert (tmp_path / "other" / "thesis.tex").exists()
    write_packed(tmp_path / "set", data, meta=meta)
    opened = PackedDataset(tmp_path / "set")
    write_packed(tmp_path / "set", data[:1] + 9, meta=meta)
    assert PackedDataset(tmp_path / "set").data.max() == 9
    assert opened.data.max() == 0, "a reader keeps what it opened"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "set"]


@pytest.mark.parametrize("channels", [1, 2])
def test_rows_come_in_any_order_from_several_writers_and_what_is_not_written_is_zero(tmp_path, channels):
    data = np.random.default_rng(0).integers(-9999, 9999, (6, 5000, channels)).astype(np.int16)
    meta = replace(SOUND, count=6, shape=(channels, 5000))
    with DataFile(tmp_path, meta, new=True) as one, DataFile(tmp_path, meta) as other:
        other.write(3, data[3:5])
        one.write(0, data[:2])
        other.write(5, data[5, :1000])
    complete(tmp_path, lengths=np.array([5000, 5000, 1, 5000, 5000, 1000]), meta=meta)
    data[2], data[5, 1000:] = 0, 0
    np.testing.assert_array_equal(PackedDataset(tmp_path).data.reshape(data.shape), data)
    with pytest.raises(ValueError, match="int16 is stored, not uint8"), DataFile(tmp_path, meta) as file:
        file.write(0, np.zeros(3, np.uint8))


@pytest.mark.parametrize(
    ("data", "labels", "meta"),
    [
        (np.zeros((2, 4, 4, 1)), None, replace(PICTURES, classes=None)),
        (np.zeros((2, 4), np.uint8), None, replace(PICTURES, classes=None)),
        (np.zeros((2, 4, 4, 1), np.uint8), None, PICTURES),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int), replace(PICTURES, classes=None)),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, int), PICTURES),
        (np.zeros((2, 4), np.float32), None, SOUND),
    ],
)
def test_writing_refuses_arrays_that_do_not_fit_and_leaves_nothing(tmp_path, data, labels, meta):
    with pytest.raises(ValueError):
        write_packed(tmp_path / "set", data, labels, meta=meta)
    assert list(tmp_path.iterdir()) == []


def test_staging_leaves_the_old_folder_alone_when_the_writer_fails(tmp_path):
    target = tmp_path / "deep" / "target"
    with staged(target) as beside:
        (beside / "old").touch()
    with pytest.raises(RuntimeError), staged(target) as beside:
        (beside / "new").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_staging_clears_what_a_killed_writer_left_and_keeps_two_writers_apart(tmp_path):
    left = tmp_path / ".writing-target" / "new"
    left.mkdir(parents=True)
    (left / "half").touch()
    with staged(tmp_path / "target") as beside:
        assert list(beside.iterdir()) == []
        with pytest.raises(InputError, match="target is being written by another process"), staged(tmp_path / "target"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
