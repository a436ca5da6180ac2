"""EDM's data sets: dataset.json read and written, pictures cut and resized as its tool does."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from data_prep import edm_zip, images
from mmspec.data import PackedDataset


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def write(target, pictures, labels, names=None):
    """A zip or folder as EDM's tool makes it; ``labels`` is the content of dataset.json."""
    names = names or [f"{i // 4:05d}/img{i:08d}.png" for i in range(len(pictures))]
    files = dict(zip(names, map(png, pictures), strict=True))
    files["dataset.json"] = json.dumps({"labels": labels(names)}).encode() if callable(labels) else labels
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
    return target


def prepared(source, out, *options):
    assert images.main([str(source), str(out), "--size", "8", *options]) == 0
    return PackedDataset(out)


@pytest.mark.parametrize("name", ["set.zip", "folder"])
def test_labels_come_from_dataset_json(tmp_path, pictures, name):
    numbers = [2, 0, 5, 2, 0, 1]
    source = write(tmp_path / name, pictures, lambda names: list(zip(names, numbers, strict=True)))
    dataset = prepared(source, tmp_path / "out")
    np.testing.assert_array_equal(dataset.data, pictures)
    assert dataset.labels.tolist() == numbers
    assert dataset.meta.classes == ("0", "1", "2", "3", "4", "5")  # 3 and 4 have no picture, and keep their places
    assert dataset.meta.rejected == {} and dataset.meta.preparation["--label"] == "dataset.json"
    assert "cut out, then resized by Pillow's lanczos filter" in dataset.meta.preparation["resize rule"]


def test_a_set_without_labels_has_no_classes(tmp_path, pictures):
    source = write(tmp_path / "set.zip", pictures, lambda names: None, [f"{i}.png" for i in range(6)])
    dataset = prepared(source, tmp_path / "out")
    assert dataset.labels is None and dataset.meta.classes is None and len(dataset) == 6


def test_a_picture_without_a_label_is_rejected(tmp_path, pictures):
    source = write(tmp_path / "set.zip", pictures, lambda names: [[name, 1] for name in names[:5]])
    dataset = prepared(source, tmp_path / "out")
    assert len(dataset) == 5 and dataset.meta.rejected == {"no label": 1}


def test_other_label_rules_go_before_dataset_json(tmp_path, pictures):
    source = write(tmp_path / "set.zip", pictures, lambda names: [[name, 1] for name in names])
    assert prepared(source, tmp_path / "out", "--label", "none").labels is None


def test_two_processes_write_what_one_writes(tmp_path, pictures):
    source = write(tmp_path / "set.zip", pictures, lambda names: [[name, i % 3] for i, name in enumerate(names)])
    one, two = (prepared(source, tmp_path / count, "--workers", count) for count in ("1", "2"))
    assert one.meta == two.meta and one.labels.tolist() == two.labels.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not as EDM writes it"),
        (b"[]", "is not as EDM writes it"),
        (b'{"labels": [1, 2]}', "is not as EDM writes it"),
        (b"\xff\xfe", "is not as EDM writes it"),
        (b'{"labels": [["00000/img00000000.png", [0.1, 0.2]]]}', "gives 00000/img00000000.png the label [0.1, 0.2]"),
        (b'{"labels": [["a.png", -1]]}', "gives a.png the label -1: expected the number of a class"),
        (b'{"labels": [["a.png", 1000000000000]]}', "the label 1000000000000: expected"),
    ],
)
def test_a_damaged_dataset_json_is_one_sentence(tmp_path, pictures, capsys, content, message):
    source = write(tmp_path / "set.zip", pictures, content)
    assert images.main([str(source), str(tmp_path / "out"), "--size", "8"]) == 2
    error = capsys.readouterr().err
    assert message in error and "set.zip/dataset.json" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("resize", "filter"), [("lanczos", Image.Resampling.LANCZOS), ("box", Image.Resampling.BOX)])
@pytest.mark.parametrize("shape", [(50, 71), (71, 50), (64, 64), (33, 32)])
def test_the_middle_is_cut_out_first_and_then_resized(tmp_path, shape, resize, filter):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    source = write(tmp_path / "set.zip", [pixels], lambda names: None)
    assert images.main([str(source), str(tmp_path / "out"), "--size", "32", "--resize", resize]) == 0
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    np.testing.assert_array_equal(PackedDataset(tmp_path / "out").data[0], square.resize((32, 32), filter))


@pytest.mark.parametrize("channels", ["1", "3"])
def test_what_is_written_is_read_again(tmp_path, pictures, channels):
    numbers = [2, 0, 5, 2, 0, 1]
    source = write(tmp_path / "set.zip", pictures, lambda names: list(zip(names, numbers, strict=True)))
    packed = prepared(source, tmp_path / "packed", "--channels", channels)
    assert edm_zip.main([str(packed.folder), str(tmp_path / "again.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        assert archive.namelist()[0] == "00000/img00000000.png"
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    again = prepared(tmp_path / "again.zip", tmp_path / "out", "--channels", channels)
    assert again.meta.sha256 == packed.meta.sha256 and again.meta.classes == packed.meta.classes
    assert again.labels.tolist() == numbers


def test_a_zip_is_written_once_and_of_pictures(tmp_path, pictures, capsys):
    packed = prepared(write(tmp_path / "set.zip", pictures, lambda names: None), tmp_path / "packed")
    assert edm_zip.main([str(packed.folder), str(tmp_path / "set.zip")]) == 2
    assert "set.zip exists" in capsys.readouterr().err
