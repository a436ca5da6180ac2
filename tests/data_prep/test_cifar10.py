"""CIFAR-10's binary records, written here byte by byte."""

import io
import tarfile

import numpy as np
import pytest

from data_prep.cifar10 import CLASSES, main
from mmspec.data import PackedDataset


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


def records(labels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)
    content = b"".join(bytes([label]) + planes.tobytes() for label, planes in zip(labels, pixels, strict=True))
    return content, pixels.transpose(0, 2, 3, 1)


def test_pictures_and_classes_are_those_of_the_records(tmp_path):
    (first, some), (second, others), (held_out, test) = records([3, 0], 0), records([9], 1), records([1], 2)
    files = {"data_batch_2.bin": second, "data_batch_1.bin": first, "test_batch.bin": held_out, "readme.html": b"x"}
    source = archive(tmp_path / "cifar-10-binary.tar.gz", files)
    assert main([source, str(tmp_path / "train")]) == 0
    assert main([source, str(tmp_path / "test"), "--part", "test"]) == 0
    train, rest = PackedDataset(tmp_path / "train"), PackedDataset(tmp_path / "test")
    np.testing.assert_array_equal(train.data, np.concatenate([some, others]))
    np.testing.assert_array_equal(rest.data, test)
    assert train.labels.tolist() == [3, 0, 9] and train.meta.classes == CLASSES


@pytest.mark.parametrize(
    ("content", "message"), [(b"short", "no usable file (1 damaged"), (bytes([10]) + bytes(3072), "1 unknown class")]
)
def test_what_is_no_picture_is_named(tmp_path, capsys, content, message):
    source = archive(tmp_path / "x.tar.gz", {"data_batch_1.bin": content})
    assert main([source, str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
