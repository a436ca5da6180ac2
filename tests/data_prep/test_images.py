"""Pictures: the right pixels in the right order, from a folder, a tar or a zip alike."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import images
from data_prep.images import PictureDecoder
from data_prep.labels import LabelRule, sort_classes
from data_prep.samples import Rejected
from data_prep.splitting import Split
from mmspec.data import PackedDataset
from mmspec.spectral import radial_power_spectrum


def png(pixels: np.ndarray, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def decoder(size: int | tuple[int, int] = 8, channels: int = 3, label: str = "none", resize: str = "box"):
    size = (size, size) if isinstance(size, int) else size
    return PictureDecoder(size, channels, LabelRule(label), resize, "white")


@pytest.fixture
def files() -> dict[str, bytes]:
    """Fifteen pictures of 8 pixels, in three folders; the value of every pixel tells which."""
    ramp = np.arange(8, dtype=np.uint8)[:, None].repeat(24, 1).reshape(8, 8, 3)
    return {
        f"set/{label}/{index}.png": png(ramp + np.uint8(16 * index + number))
        for number, label in enumerate(("2", "10", "1"))
        for index in range(5)
    }


def write(files: dict[str, bytes], target: Path) -> Path:
    names = sorted(files, reverse=True)  # not the order in which samples are stored
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for name in names:
                archive.writestr(name, files[name])
    elif ".tar" in target.name or target.suffix == ".tgz":
        with tarfile.open(target, "w:gz" if target.suffix in (".gz", ".tgz") else "w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(files[name])
                archive.addfile(info, io.BytesIO(files[name]))
    else:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(files[name])
    return target


@pytest.mark.parametrize("name", ["folder", "a.tar", "a.tar.gz", "a.tgz", "a.zip", "no-suffix-tar.tar.gz.part"])
def test_all_sources_give_the_same_set_in_the_order_of_the_names(files, tmp_path, name, capsys):
    source = write(files, tmp_path / name)
    assert images.main([str(source), str(tmp_path / "out"), "--size", "8"]) == 0
    dataset = PackedDataset(tmp_path / "out")
    dataset.verify()
    assert dataset.meta.classes == ("1", "2", "10")
    expected = {label: number for number, label in enumerate(("2", "10", "1"))}
    stored = [(path.split("/")[1], int(path.split("/")[2][0])) for path in sorted(files)]
    assert [dataset.meta.classes[label] for label in dataset.labels] == [label for label, _ in stored]
    np.testing.assert_array_equal(dataset.data[:, 0, 0, 0], [16 * index + expected[label] for label, index in stored])
    assert f"{tmp_path / 'out'}: 15 kept, each 3x8x8, classes: 3" in capsys.readouterr().out
    assert not list(tmp_path.glob(".writing*"))


def test_two_processes_write_what_one_writes(tmp_path):
    draw = np.random.default_rng(0)
    files = {f"{i:03d}.png": png(draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)) for i in range(150)}
    source = write({**files, "text.png": b"text"}, tmp_path / "source")
    for workers in ("1", "2"):
        arguments = [str(source), str(tmp_path / workers), "--size", "8", "--label", "none", "--workers", workers]
        assert images.main(arguments) == 0
    for name in ("data.npy", "rejected.tsv", "meta.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_pixels_are_stored_as_they_are_where_the_size_fits():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    sample = decoder()("x.png", png(pixels))
    np.testing.assert_array_equal(sample.data, pixels)
    assert sample.label is None and sample.converted == ()


@pytest.mark.parametrize(
    ("shape", "size", "box"),
    [
        ((8, 20), 4, (0, 8, 6, 14)),
        ((20, 8), 4, (6, 14, 0, 8)),
        ((12, 16), (4, 8), (2, 10, 0, 16)),
        ((9, 9), 3, (0, 9, 0, 9)),
    ],
)
def test_the_middle_is_cut_out_and_averaged(shape, size, box):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    top, bottom, left, right = box
    height, width = (size, size) if isinstance(size, int) else size
    middle = pixels[top:bottom, left:right].astype(float)
    expected = middle.reshape(height, (bottom - top) // height, width, (right - left) // width, 3).mean((1, 3))
    np.testing.assert_allclose(decoder(size)("x.png", png(pixels)).data, expected, atol=1)


def test_lanczos_keeps_a_slow_wave_and_removes_a_fast_one():
    x = np.arange(64)
    for cycles, amplitude in ((4, 100), (28, 0)):
        wave = (127.5 + 100 * np.cos(2 * np.pi * cycles * (x + 0.5) / 64)).astype(np.uint8)
        small = decoder(16, resize="lanczos")("x.png", png(np.tile(wave[:, None], (64, 1, 3)).reshape(64, 64, 3)))
        inner = small.data[4:12, 4:12].astype(float)
        assert abs((inner.max() - inner.min()) / 2 - amplitude) < 0.35 * 100


def test_grey_output_and_enlarging_are_counted():
    pixels = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    sample = decoder(8, channels=1)("x.png", png(pixels))
    assert sample.data.shape == (8, 8, 1) and set(sample.data.flat) == {76}  # ITU-R 601: 0.299 * 255
    assert sample.converted == ("RGB to L", "enlarged")


@pytest.mark.parametrize(
    ("rule", "path", "label"),
    [
        ("none", "a/b/c.png", None),
        ("parent", "a/b/c.png", "b"),
        ("name:0", "a/7_jackson_32.wav", "7"),
        ("name:1", "7_jackson_32.wav", "jackson"),
        ("regex:LJ(\\d+)", "wavs/LJ001-0002.wav", "001"),
        ("regex:cat|dog", "x/dog12.png", "dog"),
    ],
)
def test_label_rules(rule, path, label):
    assert LabelRule(rule)(path) == label


@pytest.mark.parametrize(("rule", "path"), [("parent", "c.png"), ("name:3", "7_a.wav"), ("regex:z(x)?", "z.png")])
def test_a_path_that_does_not_fit_the_label_rule_is_rejected(rule, path):
    with pytest.raises(Rejected, match="no label"):
        LabelRule(rule)(path)


@pytest.mark.parametrize("rule", ["", "folder", "name:", "name:x", "name:-1", "regex:", "regex:("])
def test_label_rules_that_mean_nothing_are_refused(rule):
    with pytest.raises(ValueError, match="label rule"):
        LabelRule(rule)


def test_classes_are_sorted_as_numbers_where_they_are():
    assert sort_classes(["b", "10", "9", "a", "9"]) == ("9", "10", "a", "b")


def test_holding_out_a_fraction_depends_on_the_name_alone():
    split = Split(fraction=0.25)
    names = [f"class/{index}.png" for index in range(4000)]
    held_out = {name for name in names if split(name) == "test"}
    assert 900 < len(held_out) < 1100
    assert held_out == {name for name in reversed(names) if split(f"elsewhere/{name}") == "test"}


def test_holding_out_by_a_pattern(files, tmp_path):
    source = write(files, tmp_path / "a.tar")
    for pattern, count in (("[01].png", 6), ("*/10/*", 5)):
        out = tmp_path / str(count)
        assert images.main([str(source), str(out), "--size", "8", "--holdout-pattern", pattern]) == 0
        train, test = PackedDataset(out / "train"), PackedDataset(out / "test")
        assert (len(train), len(test)) == (15 - count, count)
        assert train.meta.classes == test.meta.classes == ("1", "2", "10")
        assert test.meta.preparation["--holdout-pattern"] == pattern


def test_statistics_are_those_of_the_stored_values(files, tmp_path):
    assert images.main([str(write(files, tmp_path / "a.zip")), str(tmp_path / "out"), "--size", "8"]) == 0
    dataset = PackedDataset(tmp_path / "out")
    values = dataset.data / 127.5 - 1
    found = dataset.meta.statistics
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert found["sigma_data"] == found["std"] == pytest.approx(values.std(), abs=1e-6)
    spectrum = found["power_spectrum"]
    frequency, power = radial_power_spectrum(dataset.batch(np.arange(15))[0])
    assert spectrum["unit"] == "cycles/image" and spectrum["frequency"] == frequency.tolist()
    np.testing.assert_allclose(spectrum["power"], power.mean((0, 1)), rtol=1e-4, atol=1e-9)


def test_real_pictures(shared, tmp_path):
    arguments = ["--size", "64", "--holdout-pattern", "*/val/*"]
    assert images.main([str(shared / "data" / "afhq.tar.gz"), str(tmp_path / "out"), *arguments]) == 0
    train, test = PackedDataset(tmp_path / "out" / "train"), PackedDataset(tmp_path / "out" / "test")
    assert (len(train), len(test), train.meta.classes) == (28, 15, ("cat", "dog", "wild"))
    assert np.bincount(test.labels).tolist() == [5, 5, 5] and 0.3 < train.meta.statistics["sigma_data"] < 0.6
