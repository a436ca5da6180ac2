"""The faults of single raw files: each is rejected with the reason, or mended by a named rule and counted."""

import io
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep.audio import RecordingDecoder
from data_prep.images import PictureDecoder
from data_prep.labels import LabelRule
from data_prep.samples import Rejected, Sample

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
TONE = 0.5 * np.sin(np.arange(4000) / 3)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def recorded(sound: np.ndarray, rate: int = 8000, format: str = "WAV", subtype: str | None = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=format, subtype=subtype)
    return file.getvalue()


def png_16_bits(values: np.ndarray, colour_type: int) -> bytes:
    """A PNG of 16 bits a value, as Pillow writes none in colour; ``[H, W, C]``."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    height, width, _ = values.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, colour_type, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def picture(content: bytes, background: str = "white", channels: int = 3, size: int = 32) -> Sample:
    return PictureDecoder((size, size), channels, LabelRule("none"), "box", background)("x.png", content)


def recording(content: bytes, samples: int = 4000) -> Sample:
    return RecordingDecoder(8000, samples, "mono", LabelRule("none"))("x.wav", content)


JPEG = encoded(Image.fromarray(NOISE), "JPEG")
PNG = encoded(Image.fromarray(NOISE), "PNG")


# Files that are no whole picture or recording


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (JPEG[: len(JPEG) // 2], "truncated or damaged picture"),
        (JPEG[:-2], "truncated or damaged picture"),
        (PNG[: len(PNG) // 2], "truncated or damaged picture"),
        (PNG[:200] + bytes(50) + PNG[250:], "truncated or damaged picture"),
        (b"To be or not to be", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "truncated or damaged picture|not a picture"),
        (recorded(TONE), "not a picture"),
        (encoded(Image.fromarray(np.full((32, 32), 0.5, np.float32)), "TIFF"), "unknown range"),
    ],
)
def test_what_is_no_whole_picture_is_rejected_with_the_reason(content, reason):
    with pytest.raises(Rejected, match=reason):
        picture(content)


def test_a_picture_of_another_format_than_its_name_says_is_used():
    assert picture(encoded(Image.fromarray(NOISE), "BMP")).data.tolist() == NOISE.tolist()


def test_a_decompression_bomb_is_rejected_unread():
    header = png_16_bits(np.zeros((1, 1, 1)), 0)
    bomb = header[:16] + (60_000).to_bytes(4, "big") * 2 + header[24:29]
    bomb += zlib.crc32(bomb[12:29]).to_bytes(4, "big") + header[33:]
    with pytest.raises(Rejected, match="too large"):
        picture(bomb)


@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "FLAC", "OGG", "MP3", "CAF"])
@pytest.mark.parametrize("share", [0.95, 0.5])
def test_truncated_recordings_are_rejected(format, share):
    whole = recorded(0.3 * np.random.default_rng(0).standard_normal(40000).clip(-3, 3), format=format, subtype=None)
    assert recording(whole, 40000).length == 40000
    with pytest.raises(Rejected, match="truncated"):
        recording(whole[: int(share * len(whole))])


@pytest.mark.parametrize("said", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_recorder_that_streamed_and_never_wrote_the_length_is_no_truncation(said):
    content = bytearray(recorded(TONE))
    at = content.index(b"data") + 4
    content[at : at + 4] = said.to_bytes(4, "little")
    assert recording(bytes(content)).length == 4000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"To be or not to be", "not a recording"),
        (PNG, "not a recording"),
        (recorded(np.zeros(0)), "zero length"),
        (recorded(np.append(TONE, np.nan), subtype="FLOAT"), "NaN or infinity"),
        (recorded(np.append(TONE, np.inf), subtype="FLOAT"), "NaN or infinity"),
    ],
)
def test_what_is_no_finite_recording_is_rejected_with_the_reason(content, reason):
    with pytest.raises(Rejected, match=reason):
        recording(content)


# Pictures that need a conversion


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_by_exif(orientation):
    upright = np.zeros((32, 32, 3), np.uint8)
    upright[:16, :16] = (255, 0, 0)
    upright[:16, 16:] = (0, 255, 0)
    undo = {  # how a camera stores it: the inverse of what the tag asks for
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x.transpose(1, 0, 2), 2),
        8: lambda x: np.rot90(x, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo(upright)))
    sample = picture(encoded(stored, "JPEG", exif=exif, quality=100, subsampling=0))
    np.testing.assert_allclose(sample.data.astype(int), upright, atol=8)
    assert sample.converted == (() if orientation == 1 else ("turned upright by EXIF",))


def test_alpha_is_composited_on_the_configured_colour():
    pixels = np.concatenate([NOISE, np.zeros((32, 32, 1), np.uint8)], 2)
    pixels[:16, :, 3] = 255
    pixels[16:20, :, 3] = 51
    sample = picture(encoded(Image.fromarray(pixels), "PNG"), "#0080ff")
    back = np.array([0, 128, 255])
    np.testing.assert_array_equal(sample.data[:16], NOISE[:16])
    np.testing.assert_allclose(sample.data[16:20], 0.2 * NOISE[16:20] + 0.8 * back, atol=1)
    np.testing.assert_array_equal(sample.data[20:], np.broadcast_to(back, (12, 32, 3)))
    assert sample.converted == ("transparency on #0080ff",)


def test_transparency_of_palettes_grey_and_one_colour_is_composited():
    indices = np.zeros((32, 32), np.uint8)
    indices[:16] = 1
    palette = Image.fromarray(indices).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    grey = Image.fromarray(np.stack([indices * 200, indices * 255], 2))
    key = Image.fromarray((indices * 200)[..., None].repeat(3, 2))
    for content, upper in (
        (encoded(palette, "PNG", transparency=0), (200, 100, 50)),
        (encoded(palette, "GIF", transparency=0), (200, 100, 50)),
        (encoded(grey, "PNG"), (200, 200, 200)),
        (encoded(key, "PNG", transparency=(0, 0, 0)), (200, 200, 200)),
    ):
        sample = picture(content, "blue")
        np.testing.assert_array_equal(sample.data[:16], np.broadcast_to(upper, (16, 32, 3)))
        np.testing.assert_array_equal(sample.data[16:], np.broadcast_to((0, 0, 255), (16, 32, 3)))
        assert "transparency on blue" in sample.converted


def test_an_alpha_channel_that_hides_nothing_is_not_counted():
    pixels = np.concatenate([NOISE, np.full((32, 32, 1), 255, np.uint8)], 2)
    assert picture(encoded(Image.fromarray(pixels), "PNG")).converted == ()


def test_16_bits_are_scaled_by_65535():
    values = np.linspace(0, 65535, 32 * 32).round().astype(np.uint16).reshape(32, 32, 1)
    grey = picture(png_16_bits(values, 0), channels=1)
    np.testing.assert_array_equal(grey.data, np.rint(values / 65535 * 255))
    colour = picture(png_16_bits(values.repeat(3, 2), 2))
    np.testing.assert_allclose(colour.data.astype(float), (values / 65535 * 255).repeat(3, 2), atol=1)
    assert grey.converted == colour.converted == ("16 bits",)


@pytest.mark.parametrize(
    ("mode", "format", "note"),
    [("CMYK", "JPEG", "CMYK to RGB"), ("L", "PNG", "L to RGB"), ("1", "PNG", "1 to RGB"), ("P", "PNG", "P to RGB")],
)
def test_other_modes_are_converted_and_counted(mode, format, note):
    grey = Image.fromarray(np.full((32, 32), 255, np.uint8))
    sample = picture(encoded(grey.convert("RGB").convert(mode), format))
    assert sample.converted == (note,)
    np.testing.assert_array_equal(sample.data, 255)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_used_and_counted(format):
    frames = [Image.fromarray(np.full((32, 32, 3), value, np.uint8)) for value in (40, 90, 200)]
    options = {"save_all": True, "append_images": frames[1:], **({"lossless": True} if format == "WEBP" else {})}
    sample = picture(encoded(frames[0], format, **options))
    assert set(sample.data.flat) == {40} and f"{format}, first frame" in sample.converted


# Recordings that need a conversion


def test_out_of_range_is_clipped_and_counted():
    sample = recording(recorded(4 * TONE, subtype="FLOAT"))
    assert (sample.data.min(), sample.data.max()) == (-32767, 32767) or sample.data.min() == -32768
    assert sample.converted == ("clipped to [-1, 1]",)


def test_silence_is_kept_and_counted():
    assert recording(recorded(np.zeros(4000))).converted == ("silence, kept",)
