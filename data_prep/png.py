"""PNG files as Pillow should get them: without long texts and colour profiles, and with pixels that are undamaged.

Pillow refuses a whole picture for long texts, and takes pixels whose checksum is wrong.
"""

import zlib
from collections.abc import Iterator

from data_prep.samples import Rejected

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"PLTE", b"IDAT")
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
ORIENTED = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # texts that may say which way up the picture is
LONGEST = 1 << 20  # what Pillow reads of one text, in bytes


def pixels_alone(content: bytes) -> bytes:
    """A PNG file with its pixels, and of texts only the short ones that say which way up it is; all else as it is.

    Raises:
        Rejected: if the checksum of a chunk of pixels is wrong.
    """
    if not content.startswith(SIGNATURE):
        return content
    kept = [SIGNATURE]
    for kind, start, end in _chunks(content):
        body = content[start + 8 : end - 4]
        if kind in PIXELS and content[end - 4 : end] != zlib.crc32(kind + body).to_bytes(4, "big"):
            raise Rejected("truncated or damaged picture", f"the checksum of its {kind.decode()} chunk is wrong")
        if _matters(kind, body):
            kept.append(content[start:end])
    return b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of every chunk; of the last, the end of the file where it is cut short."""
    start = len(SIGNATURE)
    while start < len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        yield content[start + 4 : start + 8], start, min(end, len(content))
        start = end


def _matters(kind: bytes, body: bytes) -> bool:
    if kind not in TEXTS:
        return kind != b"iCCP"
    return body.startswith(ORIENTED) and len(body) <= LONGEST and _unpacked(kind, body) <= LONGEST


def _unpacked(kind: bytes, body: bytes) -> int:
    """Length of a text, which is counted no further than is read of it."""
    text = body.split(b"\0", 1)[1]
    if kind == b"iTXt" and text[:1] == b"\1":
        text = text[2:].split(b"\0", 2)[-1]
    elif kind == b"zTXt":
        text = text[1:]
    else:
        return len(text)
    try:
        return len(zlib.decompressobj().decompress(text, LONGEST + 1))
    except zlib.error:
        return LONGEST + 1
