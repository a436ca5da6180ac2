"""Classes come from ``dataset.json`` wherever it lies, and from folders that Windows separated."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import images
from mmspec.data import PackedDataset

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
NUMBERS = [2, 0, 4, 2, 0, 1]
NAMES = [f"{index // 4:05d}/img{index:08d}.png" for index in range(6)]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(target: Path, files: dict[str, bytes]) -> Path:
    """A folder, a zip or a tar, by the name's end."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif target.suffix in (".tar", ".gz"):
        with tarfile.open(target, "w:gz" if target.suffix == ".gz" else "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        for name, content in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
    return target


def edm(prefix: str = "", listed: list[str] = NAMES) -> dict[str, bytes]:
    """EDM's files below a top folder."""
    labels = json.dumps({"labels": list(zip(listed, NUMBERS, strict=True))}).encode()
    return {**{prefix + name: png(pixels) for name, pixels in zip(NAMES, PICTURES, strict=True)}} | {
        f"{prefix}dataset.json": labels
    }


def prepared(source: Path, out: Path, *options: str) -> PackedDataset:
    assert images.main([str(source), str(out), "--size", "8", *options]) == 0
    return PackedDataset(out)


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "folder"])
@pytest.mark.parametrize("prefix", ["", "cifar10-32x32/", "a/b/"])
def test_dataset_json_is_found_in_every_kind_of_source_and_below_a_top_folder(tmp_path, name, prefix):
    source = write(tmp_path / name, edm(prefix))
    dataset = prepared(source, tmp_path / "out")
    np.testing.assert_array_equal(dataset.data, PICTURES)
    assert dataset.labels.tolist() == NUMBERS and dataset.meta.classes == ("0", "1", "2", "3", "4")
    assert dataset.meta.rejected == {} and dataset.meta.preparation["--label"] == "dataset.json"
    written = (tmp_path / "out" / "meta.json").stat().st_mtime_ns
    prepared(source, tmp_path / "out")  # up to date
    assert (tmp_path / "out" / "meta.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "folder"])
@pytest.mark.parametrize("where", ["names", "json", "both"])
def test_windows_backslashes_separate_folders(tmp_path, name, where):
    files = edm("set/", [path.replace("/", "\\") for path in NAMES] if where != "names" else NAMES)
    if where != "json":
        files = {path.replace("/", "\\"): content for path, content in files.items()}
    dataset = prepared(write(tmp_path / name, files), tmp_path / "out")
    assert dataset.labels.tolist() == NUMBERS and dataset.meta.rejected == {}


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "folder"])
def test_class_folders_of_windows_archives(tmp_path, name):
    files = {f"pets\\{kind}\\{i}.png": png(PICTURES[i]) for kind in ("cats", "dogs") for i in range(3)}
    dataset = prepared(write(tmp_path / name, files), tmp_path / "out")
    assert dataset.meta.classes == ("cats", "dogs") and dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_entries_of_windows_folders_are_no_files_and_backslashes_lead_out_of_no_archive(tmp_path):
    files = {"a\\": b"", "a\\0.png": png(PICTURES[0]), "b\\1.png": png(PICTURES[1]), "..\\..\\x.png": png(PICTURES[2])}
    dataset = prepared(write(tmp_path / "set.zip", files), tmp_path / "out")
    assert len(dataset) == 2 and dataset.meta.rejected == {"unsafe path": 1}


def test_two_sets_of_edm_side_by_side(tmp_path):
    files = edm("train/") | edm("val/")
    dataset = prepared(write(tmp_path / "set.zip", files), tmp_path / "out")
    assert dataset.labels.tolist() == 2 * NUMBERS and dataset.meta.rejected == {}


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "folder"])
@pytest.mark.parametrize("prefix", ["", "pictures/"])
def test_flat_pictures_have_no_classes(tmp_path, name, prefix):
    files = {f"{prefix}{index}.png": png(pixels) for index, pixels in enumerate(PICTURES)}
    dataset = prepared(write(tmp_path / name, files), tmp_path / "out")
    assert dataset.labels is None and dataset.meta.classes is None and len(dataset) == 6
    assert dataset.meta.preparation["--label"] == "none"
    assert images.main([str(tmp_path / name), str(tmp_path / "out"), "--size", "8"]) == 0  # up to date


def test_what_lies_beside_class_folders_has_no_label(tmp_path):
    files = {"a/0.png": png(PICTURES[0]), "b/1.png": png(PICTURES[1]), "2.png": png(PICTURES[2])}
    dataset = prepared(write(tmp_path / "folder", files), tmp_path / "out")
    assert dataset.meta.classes == ("a", "b") and dataset.meta.rejected == {"no label": 1}


def test_one_class_by_the_folder_is_there_for_those_who_ask(tmp_path):
    source = write(tmp_path / "folder", {f"cats/{i}.png": png(PICTURES[i]) for i in range(3)})
    assert prepared(source, tmp_path / "out", "--label", "parent").meta.classes == ("cats",)


def labelled(*pairs: list[object], **files: bytes) -> dict[str, bytes]:
    """Six pictures with what ``dataset.json`` says of them."""
    return {
        **edm(),
        "dataset.json": json.dumps({"labels": [*zip(NAMES, NUMBERS, strict=True), *pairs]}).encode(),
        **files,
    }


def refused(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert images.main([str(source), str(out), "--size", "8"]) == 2
    assert not out.exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("path", [NAMES[0], NAMES[0].replace("/", "\\"), f"./{NAMES[0]}"])
@pytest.mark.parametrize("name", ["set.zip", "folder"])
def test_a_file_with_two_labels_is_named(tmp_path, capsys, name, path):
    error = refused(write(tmp_path / name, labelled([path, 3])), tmp_path / "out", capsys)
    assert f"{name}/dataset.json gives {path} the labels 2 and 3: keep one." in error and error.count("\n") == 1


def test_a_label_that_stands_there_twice_is_one(tmp_path):
    dataset = prepared(write(tmp_path / "set.zip", labelled([NAMES[0], NUMBERS[0]])), tmp_path / "out")
    assert dataset.labels.tolist() == NUMBERS


@pytest.mark.parametrize(("label", "right"), [(4, False), (2, True)])
def test_a_dataset_json_within_another(tmp_path, capsys, label, right):
    inner = json.dumps({"labels": [["img00000000.png", label]]}).encode()
    source = write(tmp_path / "set.zip", labelled() | {"00000/dataset.json": inner})
    if right:
        assert prepared(source, tmp_path / "out").labels.tolist() == NUMBERS
    else:
        error = refused(source, tmp_path / "out", capsys)
        assert f"gives {NAMES[0]} the label 2, and another dataset.json 4: keep one." in error


@pytest.mark.parametrize("label", ["2", 2.0, 1.5, True, None, [0, 1], -1, {}, "cat"])
def test_labels_that_are_no_numbers_of_classes_are_refused_among_others(tmp_path, capsys, label):
    error = refused(write(tmp_path / "set.zip", labelled(["more.png", label])), tmp_path / "out", capsys)
    assert f"gives more.png the label {json.dumps(label)}: expected the number of a class." in error


def test_labels_of_files_that_are_not_there_are_told(tmp_path, capsys):
    dataset = prepared(write(tmp_path / "set.zip", labelled(["gone.png", 1], ["lost.png", 0])), tmp_path / "out")
    assert dataset.labels.tolist() == NUMBERS and dataset.meta.rejected == {}
    assert "dataset.json: labels of 2 files that are not there, first gone.png" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Dataset.JSON", "DATASET.json"])
def test_dataset_json_in_letters_of_any_case(tmp_path, name):
    files = edm()
    files[name] = files.pop("dataset.json")
    dataset = prepared(write(tmp_path / "set.zip", files), tmp_path / "out")
    assert dataset.labels.tolist() == NUMBERS and dataset.meta.rejected == {}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_dataset_json_in_encodings_of_windows(tmp_path, encoding):
    files = edm()
    files["dataset.json"] = files["dataset.json"].decode().encode(encoding)
    assert prepared(write(tmp_path / "set.zip", files), tmp_path / "out").labels.tolist() == NUMBERS


def test_accents_may_be_written_in_two_ways(tmp_path):
    names = ["cafe\u0301.png", "th\u00e9.png"]
    labels = json.dumps({"labels": [["caf\u00e9.png", 1], ["the\u0301.png", 0]]}).encode()
    files = dict(zip(names, map(png, PICTURES[:2]), strict=True)) | {"dataset.json": labels}
    assert prepared(write(tmp_path / "set.zip", files), tmp_path / "out").labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "dataset.json cannot be used: empty file; restore it, or give --label."),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "cannot be used: Git LFS pointer"),
        (b'{"labels": [], "labels": null}', "the key labels stands there twice"),
        (b'{"labels": {"a.png": 1, "a.png": 2}}', "the key a.png stands there twice"),
        (b'{"labels": [["a.png", 1, 2]]}', "is not as EDM writes it"),
        (b'{"labels": ["ab", "cd"]}', "is not as EDM writes it"),
        (b'{"labels": [[1, 1]]}', "is not as EDM writes it"),
        (b'{"labels": 3}', "is not as EDM writes it"),
    ],
)
def test_no_folder_is_a_class_where_dataset_json_cannot_be_used(tmp_path, capsys, content, said):
    error = refused(write(tmp_path / "set.zip", edm() | {"dataset.json": content}), tmp_path / "out", capsys)
    assert said in error and "dataset.json" in error and error.count("\n") == 1
    dataset = prepared(tmp_path / "set.zip", tmp_path / "out", "--label", "regex:^([0-9]+)/")
    assert dataset.meta.classes == ("00000", "00001")


@pytest.mark.parametrize(
    ("name", "classes", "labels"),
    [("edm_nested.zip", ("0", "1", "2"), [0, 1, 2] * 4), ("backslash.zip", ("cats", "dogs"), [0] * 4 + [1] * 4)],
)
def test_the_archives_that_failed(shared, tmp_path, name, classes, labels):
    source = shared / "faults" / "images" / name
    if not source.exists():
        pytest.skip(f"{source} is not here")
    dataset = prepared(source, tmp_path / "out")
    assert (dataset.meta.classes, dataset.labels.tolist(), dataset.meta.rejected) == (classes, labels, {})
