"""Odd pictures, each kept as Pillow decodes it or left out with its reason; and all of them in one preparation."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from data_prep import images
from data_prep.images import PictureDecoder
from data_prep.labels import LabelRule
from data_prep.samples import Rejected
from data_prep.sources import LFS_POINTER
from mmspec.data import PackedDataset
from tests.faults.test_class_names import write

SIDE = 32
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(SIDE) * 7, np.arange(SIDE) * 7), 2).astype(np.uint8)
SMOOTH = np.concatenate([SMOOTH, 255 - SMOOTH[..., :1]], 2)
GREY = SMOOTH[..., 0]
RGB, L = Image.fromarray(NOISE), Image.fromarray(GREY)


@dataclass(frozen=True)
class Case:
    """A picture.

    Attributes:
        content: of the file.
        pixels: what it shows; None for Pillow's own decoding to RGB.
        within: how far from that values may be.
        converted: what is counted.
        reason: for which it is left out; "" for none.
    """

    content: bytes
    pixels: np.ndarray | None = None
    within: int = 0
    converted: tuple[str, ...] = ()
    reason: str = ""


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(content: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG file with one more chunk behind its header."""
    return content[:33] + chunk(kind, body) + content[33:]


def with_size(width: int, height: int) -> bytes:
    """A PNG file whose header says something else."""
    return PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + PNG[33:]


def turned(orientation: int, stored: np.ndarray, format: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif)


def with_alpha(alpha: int | np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([NOISE, np.broadcast_to(np.uint8(alpha), (SIDE, SIDE))]))


def on_white(alpha: int) -> np.ndarray:
    return np.rint(NOISE * (alpha / 255) + 255 - alpha).astype(int)


def grey(values: np.ndarray) -> np.ndarray:
    return values[..., None].repeat(3, 2)


def first_frame(format: str, **options: object) -> Case:
    frames = [RGB, Image.fromarray(SMOOTH)]
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    return Case(content, NOISE, converted=(f"{format}, first frame",))


def tiff(values: np.ndarray, bits: int | None = None, *, kind: int = 1, shades: int = 1, **more: int) -> bytes:
    """A TIFF file of one strip, whose bytes are those of ``values`` ``[H, W]`` or ``[H, W, C]``.

    Args:
        values: as they are stored.
        bits: of each number.
        kind: 1 unsigned, 2 signed, 3 floating-point.
        shades: 0 where 0 is white, 1 where it is black, 2 of RGB.
        more: width or planes, if they are others.
    """
    channels = values.shape[2] if values.ndim == 3 else 1
    entries, depths = 11, struct.pack(f"<{channels}H", *[bits or 8 * values.itemsize] * channels)
    kinds = struct.pack(f"<{channels}H", *[kind] * channels)
    behind = 8 + 2 + 12 * entries + 4
    long = channels > 2  # of what does not fit into an entry
    body = (depths + kinds if long else b"") + values.tobytes()
    start = behind + (2 * len(depths) if long else 0)
    fields = [
        (256, 4, 1, more.get("width", values.shape[1])),
        (257, 4, 1, values.shape[0]),
        (258, 3, channels, behind if long else int.from_bytes(depths, "little")),
        (259, 3, 1, 1),
        (262, 3, 1, shades),
        (273, 4, 1, start),
        (277, 3, 1, channels),
        (278, 4, 1, values.shape[0]),
        (279, 4, 1, values.nbytes),
        (284, 3, 1, more.get("planes", 1)),
        (339, 3, channels, behind + len(depths) if long else int.from_bytes(kinds, "little")),
    ]
    return (
        b"II*\0"
        + struct.pack("<IH", 8, entries)
        + b"".join(struct.pack("<HHII", *each) for each in fields)
        + bytes(4)
        + body
    )


def packed(values: np.ndarray) -> np.ndarray:
    """Pairs of 12 bits in 3 bytes each."""
    first, second = values[:, ::2], values[:, 1::2]
    return (
        np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 2)
        .reshape(len(values), -1)
        .astype(np.uint8)
    )


def interlaced(pixels: np.ndarray) -> bytes:
    """A PNG file in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for top, left, down, right in passes for row in pixels[top::down, left::right]]
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def deep_png() -> bytes:
    """Colour of 16 bits."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in NOISE.astype(">u2") * 257))
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def netpbm(kind: bytes, values: np.ndarray, largest: int) -> bytes:
    stored = np.rint(values * (largest / 255)).astype(">u2" if largest > 255 else np.uint8)
    return b"%s 32 32 %d\n" % (kind, largest) + stored.tobytes()


SMALL = encoded(Image.fromarray(SMOOTH), "PNG", compress_level=0)
PNG, JPEG = encoded(RGB, "PNG"), encoded(Image.fromarray(SMOOTH), "JPEG", quality=95)
WIDE = np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
SIXTEEN = grey(np.rint(WIDE / 257).astype(int))
DEEP = NOISE.astype("<u2") * 257
TO_RGB = {mode: (f"{mode} to RGB",) for mode in ("1", "L", "P", "CMYK", "YCbCr", "LAB")}
PALETTE = RGB.convert("P", palette=Image.Palette.ADAPTIVE)
CASES: dict[str, Case] = {
    # PNG
    "rgb.png": Case(PNG, NOISE),
    "interlaced by name only.gif": Case(PNG, NOISE),
    "grey.png": Case(encoded(L, "PNG"), grey(GREY), converted=TO_RGB["L"]),
    "1 bit.png": Case(encoded(L.convert("1"), "PNG"), converted=TO_RGB["1"]),
    "palette.png": Case(encoded(PALETTE, "PNG"), converted=TO_RGB["P"]),
    "4 colours.png": Case(encoded(RGB.quantize(4), "PNG", bits=2), converted=TO_RGB["P"]),
    "16 bits.png": Case(encoded(Image.fromarray(WIDE), "PNG"), SIXTEEN, 0, ("16 bits", *TO_RGB["L"])),
    "opaque.png": Case(encoded(with_alpha(255), "PNG"), NOISE),
    "half.png": Case(encoded(with_alpha(128), "PNG"), on_white(128), 1, ("transparency on white",)),
    "clear.png": Case(encoded(with_alpha(0), "PNG"), on_white(0), 0, ("transparency on white",)),
    "grey alpha.png": Case(
        encoded(Image.merge("LA", (L, L.point(lambda _: 0))), "PNG"),
        np.full((SIDE, SIDE, 3), 255),
        converted=("transparency on white",),
    ),
    "keyed.png": Case(
        encoded(L, "PNG", transparency=7),
        grey(np.where(GREY == 7, 255, GREY)),
        converted=("transparency on white",),
    ),
    "text.png": Case(with_chunk(PNG, b"tEXt", b"Comment\0" + b"a" * 3_000_000), NOISE),
    "packed text.png": Case(with_chunk(PNG, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))), NOISE),
    "many texts.png": Case(PNG[:33] + chunk(b"tEXt", b"Comment\0" + b"b" * 900_000) * 90 + PNG[33:], NOISE),
    "profile.png": Case(with_chunk(PNG, b"iCCP", b"icc\0\0" + zlib.compress(bytes(2_000_000))), NOISE),
    "broken text.png": Case(with_chunk(PNG, b"tEXt", b"Comment\0a")[:-1] + PNG[-1:], NOISE),
    "gamma.png": Case(with_chunk(PNG, b"gAMA", struct.pack(">I", 45455)), NOISE),
    "unknown chunk.png": Case(with_chunk(PNG, b"abCd", b"efgh"), NOISE),
    "junk behind.png": Case(PNG + b"To be or not to be", NOISE),
    "animated.png": first_frame("PNG", default_image=False),
    "adam7.png": Case(interlaced(NOISE), NOISE),
    "deep.png": Case(deep_png(), NOISE, converted=("16 bits",)),
    "significant.png": Case(with_chunk(PNG, b"sBIT", b"\5\6\5"), NOISE),
    # JPEG
    "rgb.jpg": Case(JPEG, SMOOTH, 12),
    "progressive.jpg": Case(encoded(Image.fromarray(SMOOTH), "JPEG", progressive=True, quality=95), SMOOTH, 12),
    "grey.jpg": Case(encoded(L, "JPEG", quality=95), grey(GREY), 12, TO_RGB["L"]),
    "cmyk.jpg": Case(encoded(RGB.convert("CMYK"), "JPEG", quality=100), converted=TO_RGB["CMYK"]),
    "4:4:4.jpg": Case(encoded(RGB, "JPEG", subsampling=0, quality=100), NOISE, 8),
    "comment.jpg": Case(encoded(RGB, "JPEG", comment=b"a" * 60_000)),
    "junk behind.jpg": Case(JPEG + bytes(1000), SMOOTH, 12),
    "phone.jpg": Case(
        encoded(RGB, "MPO", save_all=True, append_images=[RGB], quality=95), converted=("MPO, first frame",)
    ),
    "dpi.jpg": Case(encoded(RGB, "JPEG", dpi=(300, 300))),
    "no end.jpg": Case(JPEG[:-2], reason="truncated"),
    # The way up
    "orientation 0.png": Case(turned(0, NOISE), NOISE),
    "orientation 1.png": Case(turned(1, NOISE), NOISE),
    "orientation 2.png": Case(turned(2, NOISE[:, ::-1]), NOISE, converted=("turned upright by EXIF",)),
    "orientation 3.png": Case(turned(3, NOISE[::-1, ::-1]), NOISE, converted=("turned upright by EXIF",)),
    "orientation 6.png": Case(turned(6, np.rot90(NOISE)), NOISE, converted=("turned upright by EXIF",)),
    "orientation 8.webp": Case(turned(8, np.rot90(NOISE, -1), "WEBP"), None, 0, ("turned upright by EXIF",)),
    "orientation 9.png": Case(turned(9, NOISE), NOISE),
    "orientation 0.jpg": Case(turned(0, NOISE, "JPEG")),
    "broken exif.png": Case(encoded(RGB, "PNG", exif=b"Exif\0\0XX*\0"), NOISE, converted=("unreadable EXIF",)),
    # Other formats
    "rgb.bmp": Case(encoded(RGB, "BMP"), NOISE),
    "palette.bmp": Case(encoded(PALETTE, "BMP"), converted=TO_RGB["P"]),
    "rgb.ppm": Case(encoded(RGB, "PPM"), NOISE),
    "text.ppm": Case(b"P3 32 32 255\n" + b" ".join(b"%d" % value for value in NOISE.flat), NOISE),
    "bits.pbm": Case(encoded(L.convert("1"), "PPM"), converted=TO_RGB["1"]),
    "16 bits.pgm": Case(
        b"P5 32 32 65535\n" + WIDE.astype(">u2").tobytes(),
        grey(np.rint(WIDE / 257).astype(int)),
        0,
        ("16 bits", *TO_RGB["L"]),
    ),
    "16 bits.ppm": Case(netpbm(b"P6", NOISE, 65535), NOISE, converted=("16 bits",)),
    "10 bits.ppm": Case(netpbm(b"P6", NOISE, 1023), NOISE, 1, ("16 bits",)),
    "12 bits.pgm": Case(netpbm(b"P5", GREY, 4095), grey(GREY), 1, ("16 bits", *TO_RGB["L"])),
    "7 bits.pgm": Case(netpbm(b"P5", GREY, 127), grey(GREY), 2, TO_RGB["L"]),
    "rgb.tga": Case(encoded(RGB, "TGA"), NOISE),
    "packed.tga": Case(encoded(RGB, "TGA", compression="tga_rle"), NOISE),
    "rgb.tif": Case(encoded(RGB, "TIFF"), NOISE),
    "lzw.tif": Case(encoded(RGB, "TIFF", compression="tiff_lzw"), NOISE),
    "deflate.tif": Case(encoded(RGB, "TIFF", compression="tiff_adobe_deflate"), NOISE),
    "fax.tif": Case(encoded(L.convert("1"), "TIFF", compression="group4"), converted=TO_RGB["1"]),
    "16 bits.tif": Case(encoded(Image.fromarray(WIDE), "TIFF"), SIXTEEN, 0, ("16 bits", *TO_RGB["L"])),
    "12 bits.tif": Case(
        tiff(packed(WIDE >> 4), 12, width=SIDE),
        grey(np.rint((WIDE >> 4) / 4095 * 255).astype(int)),
        0,
        ("12 bits", *TO_RGB["L"]),
    ),
    "white is 0.tif": Case(tiff(255 - GREY, shades=0), grey(GREY), converted=TO_RGB["L"]),
    "white is 0 of 16.tif": Case(tiff(65535 - WIDE, shades=0), SIXTEEN, 0, ("16 bits", *TO_RGB["L"])),
    "deep.tif": Case(tiff(DEEP, shades=2), NOISE, converted=("16 bits",)),
    "deep planes.tif": Case(tiff(DEEP, shades=2, planes=2), reason="unsupported picture .a TIFF of separate planes"),
    "signed.tif": Case(tiff(GREY.astype(np.int8), kind=2), reason="unknown range .*negative"),
    "signed 16.tif": Case(tiff((WIDE // 2).astype("<i2"), kind=2), reason="unknown range .*negative"),
    "int32.tif": Case(tiff(WIDE.astype("<i4"), kind=2), reason="unknown range .*32 bits"),
    "uint32.tif": Case(tiff(WIDE.astype("<u4")), reason="unknown range .*32 bits"),
    "few of 32 bits.tif": Case(tiff(GREY.astype("<u4")), reason="unknown range .*32 bits"),
    "float64.tif": Case(tiff(GREY / 255, kind=3), reason="unsupported picture .unknown pixel mode"),
    "float16.tif": Case(tiff((GREY / 255).astype("<f2"), kind=3), reason="unsupported picture"),
    "float rgb.tif": Case(tiff((NOISE / 255).astype("<f4"), kind=3, shades=2), reason="unsupported picture"),
    "pages.tif": first_frame("TIFF"),
    "lab.tif": Case(encoded(Image.new("LAB", (SIDE, SIDE), (128, 20, 200)), "TIFF"), None, 0, TO_RGB["LAB"]),
    "cmyk.tif": Case(encoded(RGB.convert("CMYK"), "TIFF"), converted=TO_RGB["CMYK"]),
    "still.gif": Case(encoded(RGB.quantize(64), "GIF"), converted=TO_RGB["P"]),
    "moving.gif": Case(
        encoded(RGB.quantize(64), "GIF", save_all=True, append_images=[L.convert("P")]),
        np.asarray(RGB.quantize(64).convert("RGB")),
        0,
        ("GIF, first frame", *TO_RGB["P"]),
    ),
    "lossless.webp": Case(encoded(RGB, "WEBP", lossless=True), NOISE),
    "moving.webp": first_frame("WEBP", lossless=True),
    "rgb.ico": Case(encoded(RGB, "ICO", sizes=[(SIDE, SIDE)])),
    "rgb.sgi": Case(encoded(RGB, "SGI"), NOISE),
    "rgb.pcx": Case(encoded(RGB, "PCX"), NOISE),
    "rgb.qoi": Case(encoded(RGB, "QOI"), NOISE),
    "bits.xbm": Case(encoded(L.convert("1"), "XBM"), converted=TO_RGB["1"]),
    "rgb.dds": Case(encoded(RGB, "DDS"), NOISE),
    # Cut short, damaged, or lying
    **{
        f"cut.{format.lower()}": Case(content[: len(content) * 2 // 3], reason="truncated|not a picture|too large")
        for format in ("PNG", "JPEG", "BMP", "PPM", "TGA", "TIFF", "SGI", "QOI", "PCX")
        for content in [encoded(RGB, format)]
    },
    "cut.gif": Case(encoded(PALETTE, "GIF")[:-400], reason="truncated"),
    "cut.webp": Case(encoded(RGB, "WEBP")[:-400], reason="truncated|not a picture"),
    "damaged.png": Case(PNG[:1000] + bytes(99) + PNG[1099:], reason="truncated or damaged"),
    "other bytes within.png": Case(
        SMALL[: len(SMALL) // 2] + b"\xa5" * 9 + SMALL[len(SMALL) // 2 + 9 :],
        reason="damaged picture .the checksum of its IDAT",
    ),
    "sum.png": Case(PNG[:-13] + bytes([PNG[-13] ^ 1]) + PNG[-12:], reason="damaged picture .the checksum of its IDAT"),
    "header.png": Case(PNG[:33], reason="truncated|not a picture"),
    "no pixels.png": Case(PNG[:33] + chunk(b"IEND", b""), reason="truncated|not a picture"),
    "bomb.png": Case(with_size(60000, 60000), reason="too large"),
    "liar.png": Case(with_size(9000, 9000), reason="too large"),
    "no width.png": Case(with_size(0, 32), reason="truncated|not a picture"),
    # No pictures, or none whose range is known
    "empty.png": Case(b"", reason="empty file"),
    "pointer.png": Case(LFS_POINTER + b"v1\noid sha256:0\nsize 9\n", reason="Git LFS pointer"),
    "no picture.png": Case(b"To be or not to be", reason="not a picture"),
    "page.jpg": Case(b"<!DOCTYPE html><html><title>404</title></html>", reason="not a picture"),
    "drawing.svg": Case(b'<svg xmlns="http://www.w3.org/2000/svg"/>', reason="not a picture"),
    "program.eps": Case(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", reason="not a picture"),
    "sound.png": Case(b"RIFF\x24\0\0\0WAVEfmt ", reason="not a picture"),
    "zeros.jpg": Case(bytes(5000), reason="not a picture"),
    "float.tif": Case(encoded(Image.fromarray(SMOOTH[..., 0].astype(np.float32)), "TIFF"), reason="unknown range"),
    "32 bits.tif": Case(encoded(Image.fromarray(WIDE.astype(np.int32) * 9), "TIFF"), reason="unknown range"),
}
OPTIONAL: dict[str, Callable[[], Case]] = {
    "rgb.jp2": lambda: Case(encoded(RGB, "JPEG2000", irreversible=False), NOISE),
    "rgb.avif": lambda: Case(encoded(RGB, "AVIF")),
}
for _name, _codec in (("rgb.jp2", "jpg_2000"), ("rgb.avif", "avif")):
    if features.check(_codec):
        CASES[_name] = OPTIONAL[_name]()
BEFORE = ("empty.png", "pointer.png")  # what is told apart before it is decoded


def decode(content: bytes):
    return PictureDecoder((SIDE, SIDE), 3, LabelRule("none"), "lanczos", "white")("x", content)


def by_pillow(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    turn = images.TURNS.get(image.getexif().get(0x0112))
    image = image.convert("RGB")
    return np.asarray(image if turn is None else image.transpose(turn)).astype(int)


def test_the_table_is_long_enough():
    assert len(CASES) >= 60 and not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.reason])
def test_whole_pictures_are_what_they_show(name):
    case = CASES[name]
    sample = decode(case.content)
    expected = by_pillow(case.content) if case.pixels is None else case.pixels.astype(int)
    np.testing.assert_allclose(sample.data.astype(int), expected, rtol=0, atol=case.within)
    assert sample.converted == case.converted


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].reason and name not in BEFORE])
def test_others_are_left_out_for_their_reason(name):
    with pytest.raises(Rejected, match=CASES[name].reason):
        decode(CASES[name].content)


def test_all_of_them_in_one_preparation(tmp_path: Path):
    source = write(tmp_path / "source", {name: case.content for name, case in CASES.items()})
    assert images.main([str(source), str(tmp_path / "out"), "--size", str(SIDE)]) == 0
    dataset = PackedDataset(tmp_path / "out")
    lines = (tmp_path / "out" / "rejected.tsv").read_text().splitlines()[1:]
    reasons = dict(line.split("\t") for line in lines)
    assert set(reasons) == {name for name, case in CASES.items() if case.reason}
    assert len(dataset) + sum(dataset.meta.rejected.values()) == len(CASES)
    kept = sorted(name for name, case in CASES.items() if not case.reason)
    for place, name in enumerate(kept):
        np.testing.assert_array_equal(dataset.data[place], decode(CASES[name].content).data)
