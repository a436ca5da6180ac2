"""What a file in a tar shard holds: one picture, recording or array, as it is stored in a packed set."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from mmspec.data.values import to_int16

PICTURES, SOUNDS, ARRAYS = ("png", "jpg", "jpeg", "webp"), ("wav", "flac"), ("npy",)
FORMATS = ("PNG", "JPEG", "WEBP")
ORIENTED = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # what may say which way up a picture is
BLOCK = 1 << 16
MOST_VALUES = 1 << 28  # of one sample; a header that promises more lies


class Damaged(Exception):
    """A sample, or a whole shard, that cannot be read, and why."""


@dataclass(frozen=True)
class Signal:
    """One decoded sample.

    Attributes:
        values: uint8 ``[H, W, C]`` or int16 ``[T, C]``.
        rate: in Hz, of sound files; None for pictures and arrays, which do not say it.
    """

    values: np.ndarray
    rate: int | None = None


def decode_member(content: bytes) -> Signal:
    """The picture, sound or array in a file's content, by its first bytes and not by its name.

    Args:
        content: a PNG, JPEG or WebP picture of one or three 8-bit channels; a WAV or FLAC recording; a NumPy array,
            uint8 ``[H, W]`` or ``[H, W, C]``, or int16 ``[T]`` or ``[T, C]``.

    Raises:
        Damaged: if it is none of these, or not a whole one.
    """
    try:
        return _decoder(content)(content)
    except Damaged:
        raise
    except Exception as error:  # decoders raise anything on damaged files
        raise Damaged(f"cannot be decoded ({type(error).__name__}: {error})") from None


def _decoder(content: bytes) -> Callable[[bytes], Signal]:
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        return _array
    sound = content.startswith(b"fLaC") or (content.startswith((b"RIFF", b"RF64")) and content[8:12] == b"WAVE")
    return _sound if sound else _picture


def _picture(content: bytes) -> Signal:
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.mode not in ("L", "RGB"):
        raise Damaged(f"is a picture of mode {image.mode}, expected L or RGB")
    _require_size(image.width * image.height * len(image.getbands()))
    image.load()
    pixels = np.asarray(ImageOps.exif_transpose(image) if ORIENTED & image.info.keys() else image)
    return Signal(pixels if pixels.ndim == 3 else pixels[..., None])


def _sound(content: bytes) -> Signal:
    import soundfile

    blocks = []
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        kind = "int16" if file.subtype == "PCM_16" else "float32"
        _require_size(file.frames * file.channels)
        while len(block := file.read(BLOCK, kind, always_2d=True)):
            blocks.append(block if kind == "int16" else to_int16(_finite(block)))
        if (found := sum(map(len, blocks))) != file.frames or not found:
            raise Damaged(f"has {found} samples, expected {file.frames} by its header")
        return Signal(np.concatenate(blocks), file.samplerate)


def _finite(block: np.ndarray) -> np.ndarray:
    if not np.isfinite(block).all():
        raise Damaged("holds NaN or infinity")
    return block


def _array(content: bytes) -> Signal:
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise Damaged("is a NumPy array of a newer format than 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    most = {"uint8": 3, "int16": 2}.get(dtype.name, 0)
    if not most - 1 <= len(shape) <= most or not most or fortran:
        raise Damaged(f"is an array of {dtype} {list(shape)}, expected uint8 [H, W, C] or int16 [T, C]")
    values = np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)
    return Signal(values if len(shape) == most else values[..., None])


def _require_size(values: int) -> None:
    if values > MOST_VALUES:
        raise Damaged(f"holds {values:,} values, and at most {MOST_VALUES:,} are read")
