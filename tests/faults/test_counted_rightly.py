"""What is left out is named, and what is whole is neither left out nor counted as mended."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data_prep import images
from data_prep.images import PictureDecoder
from data_prep.labels import LabelRule
from data_prep.samples import Rejected, Sample
from mmspec.data import PackedDataset

NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def decoded(content: bytes, size: int = 16, channels: int = 3, background: str = "white") -> Sample:
    return PictureDecoder((size, size), channels, LabelRule("none"), "box", background)("x", content)


def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    return tmp_path / "source"


def rejected(out: Path) -> dict[str, str]:
    return dict(line.split("\t") for line in (out / "rejected.tsv").read_text().splitlines()[1:])


PNG = encoded(Image.fromarray(NOISE))


# Folders and files that cannot be read


def test_a_class_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    source = folder(tmp_path, {f"{kind}/{i}.png": PNG for kind in "abc" for i in range(2)})
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert images.main([str(source), str(tmp_path / "out"), "--size", "16"]) == 0
    dataset = PackedDataset(tmp_path / "out")
    assert dataset.meta.classes == ("a", "c") and dataset.meta.rejected == {"unreadable folder": 1}
    assert rejected(tmp_path / "out") == {"b": "unreadable folder (Permission denied)"}


def test_files_that_cannot_be_looked_at_are_named(tmp_path, monkeypatch):
    source = folder(tmp_path, {"a.png": PNG, "b.png": PNG, "c.png": PNG})
    status = Path.stat

    def stat(path, **options):
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return status(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert images.main([str(source), str(tmp_path / "out"), "--size", "16"]) == 0
    assert rejected(tmp_path / "out") == {"b.png": "unreadable (Permission denied)"}


def test_a_file_that_vanishes_and_a_circle_of_links_are_named(tmp_path):
    from data_prep.sources import open_source

    source = folder(tmp_path, {"a.png": PNG, "b.png": PNG})
    (source / "circle.png").symlink_to(source / "circle.png")
    opened = open_source(source)
    (source / "b.png").unlink()
    found = {member.name: member.content for member in opened.members()}
    assert found["a.png"] == PNG
    assert str(found["b.png"]) == "unreadable (No such file or directory)"
    assert str(found["circle.png"]) == "not a file (a link to nowhere)"


# Pictures that are whole


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_of_any_length_are_no_damage(compressed):
    texts = PngInfo()
    texts.add_text("parameters", "a cat, " * 700_000, zip=compressed)
    texts.add_itxt("Comment", "x" * 3_000_000, zip=compressed)
    sample = decoded(encoded(Image.fromarray(NOISE), pnginfo=texts, icc_profile=bytes(2_000_000)))
    np.testing.assert_array_equal(sample.data, NOISE)
    assert sample.converted == ()


@pytest.mark.parametrize("text", ["x" * 3_000_000, ""])
def test_among_texts_the_orientation_is_kept(text):
    texts = PngInfo()
    texts.add_text("parameters", text, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="3"/>', zip=True)
    sample = decoded(encoded(Image.fromarray(NOISE), pnginfo=texts))
    np.testing.assert_array_equal(sample.data, NOISE[::-1, ::-1])
    assert sample.converted == ("turned upright by EXIF",)


def test_the_picture_with_much_text_that_failed(shared):
    source = shared / "faults" / "images" / "png_bigtext.png"
    if not source.exists():
        pytest.skip(f"{source} is not here")
    assert decoded(source.read_bytes()).converted in ((), ("enlarged",))


@pytest.mark.parametrize("orientation", [0, 1, 9, 255])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientations_that_exif_does_not_know_turn_nothing(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    flat = Image.fromarray(np.repeat(np.arange(16, dtype=np.uint8)[:, None] * 16, 16, 1).repeat(3).reshape(16, 16, 3))
    sample = decoded(encoded(flat, format, exif=exif))
    np.testing.assert_allclose(sample.data.astype(int), np.asarray(flat), atol=8)
    assert sample.converted == ()


def test_unreadable_exif_is_no_damage():
    sample = decoded(encoded(Image.fromarray(NOISE), exif=b"Exif\0\0XX*\0junk"))
    np.testing.assert_array_equal(sample.data, NOISE)
    assert sample.converted == ("unreadable EXIF",)


@pytest.mark.parametrize("clear", [0, 300])
def test_the_transparent_value_of_grey_with_16_bits(clear):
    values = np.full((16, 16), 300, np.uint16)
    values[:8] = 0
    png = encoded(Image.fromarray(values))
    mark = b"tRNS" + struct.pack(">H", clear)
    chunk = struct.pack(">I", 2) + mark + struct.pack(">I", zlib.crc32(mark))
    sample = decoded(png[:33] + chunk + png[33:], channels=1)
    inside = slice(0, 8) if clear == 0 else slice(8, 16)
    assert (sample.data[inside] == 255).all() and (sample.data < 255).sum() == 128
    assert sample.converted == ("16 bits", "transparency on white", "RGB to L")


# Pictures that are programs, and headers that lie


def test_postscript_is_not_run():
    with pytest.raises(Rejected, match=r"not a picture .PostScript is a program"):
        decoded(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA", "SGI"])
def test_headers_that_promise_more_than_a_file_can_hold_are_refused_unread(format):
    content = bytearray(encoded(Image.new("RGB", (300, 200)), format))[:2000]
    sides = {"PNG": (16, ">II"), "BMP": (18, "<II"), "TGA": (12, "<HH"), "SGI": (6, ">HH")}
    if format == "PPM":
        content = bytearray(b"P6 12000 12000 255\n" + bytes(2000))
    elif format == "TIFF":
        content = bytearray(encoded(Image.new("RGB", (300, 200)), "TIFF", tiffinfo={256: 300}))
        start = struct.unpack("<I", content[4:8])[0]
        for entry in range(struct.unpack("<H", content[start : start + 2])[0]):
            at = start + 2 + 12 * entry
            if struct.unpack("<H", content[at : at + 2])[0] in (256, 257):
                content[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 12000)
        del content[start + 2000 :]
    else:
        at, layout = sides[format]
        struct.pack_into(layout, content, at, 12000, 12000)
        if format == "PNG":
            content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    with pytest.raises(Rejected, match=r"too large .its header promises 144,000,000 pixels"):
        decoded(bytes(content))


def test_large_pictures_are_converted_a_few_rows_at_a_time():
    draw = np.random.default_rng(0)
    tall = draw.integers(0, 256, (3000, 2000, 4), dtype=np.uint8)
    content = encoded(Image.fromarray(tall), compress_level=0)
    sample = decoded(content, size=20, background="blue")
    back = np.array([0, 0, 255])
    middle = tall[500:2500].astype(float)
    flat = middle[..., :3] * middle[..., 3:] / 255 + back * (1 - middle[..., 3:] / 255)
    expected = flat.reshape(20, 100, 20, 100, 3).mean((1, 3))
    np.testing.assert_allclose(sample.data, expected, atol=1)
    assert sample.converted == ("transparency on blue",)
