"""Lengths in the headers of sound: completed where a stream had none yet, and held against what the file has.

libsndfile reads WAV, AIFF and AU to their ends where all bits of a length are set.
"""

import re
import struct

FLAC, AU, VOC = b"fLaC", b".snd", b"Creative Voice File"
W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
# Magic number -> where chunks begin, kind and length of a chunk, the chunk of the samples.
CONTAINERS = {
    b"RIFF": (12, "<4sI", b"data"),
    b"FORM": (12, ">4sI", b"SSND"),
    b"caff": (8, ">4sQ", b"data"),
    W64[:4]: (40, "<16sQ", W64_DATA),
}
# Upper 8 of 32 bits of a length that stands for none: of a stream, which had not ended when its header was written.
STREAMED = (0x7F, 0x80, 0xFF)
LONGEST = 1 << 62
SMALLEST_CHUNK = 8  # its kind and its length
CHUNK_NAME = re.compile(rb"[ -~]{4}")


def completed(content: bytes) -> tuple[bytes, str]:
    """The file with the length of its sound, where none was written: to its end; and what is missing of that length."""
    if content[:4] in (b"RF64", b"BW64"):
        return _rf64(content)
    if content.startswith(VOC):
        return content, _voc(content)
    if content.startswith(AU):
        return _streamed(content, ">I", 8, int.from_bytes(content[4:8], "big"))
    found = _samples(content)
    if found is None:
        return content, ""
    kind, place, body = found
    if len(kind) == 16:
        return _length(content, "<Q", place, len(content) - body, header=24)
    if content.startswith(b"caff"):
        return _length(content, ">Q", place, len(content) - body)
    return _streamed(content, "<I" if kind == b"data" else ">I", place, body)


def flac(content: bytes) -> tuple[bytes, str, int]:
    """The file without its number of samples, so that a decoder reads all; nothing; that number, 0 for unknown."""
    place = slice(21, 26)  # behind a byte that this number shares with the bits a sample
    count = int.from_bytes(content[place], "big") & 0xFFFFFFFFF
    upper = bytes([content[21] & 0xF0, 0, 0, 0, 0]) if len(content) > 26 else content[place]
    return content[:21] + upper + content[26:], "", count


def _streamed(content: bytes, layout: str, at: int, body: int) -> tuple[bytes, str]:
    """With a length of 32 bits at ``at`` of the samples from ``body`` on."""
    said, found = struct.unpack_from(layout, content, at)[0] if len(content) >= at + 4 else 0, len(content) - body
    if said == 0 and found > 0 and not CHUNK_NAME.match(content, body):  # a name: the next chunk, behind no samples
        said = 0xFFFFFFFF
    if said >> 24 not in STREAMED:
        return content, _missing(said, found) or _behind(content, body + said)
    return content[:at] + struct.pack(layout, 0xFFFFFFFF) + content[at + 4 :], ""


def _voc(content: bytes) -> str:
    """What the last block lacks, or nothing."""
    at = int.from_bytes(content[20:22], "little")
    while at + 4 <= len(content) and content[at] in range(1, 10):  # kinds of blocks; 0 ends the file
        length = int.from_bytes(content[at + 1 : at + 4], "little")
        if at + 4 + length > len(content):
            return _missing(length, len(content) - at - 4)
        at += 4 + length
    return ""


def _missing(said: int, found: int) -> str:
    return f"{found} of the {said} bytes in its header" if found < said else ""


def _behind(content: bytes, end: int) -> str:
    """What follows the sound and is neither a chunk, a tag nor padding: more sound than the header tells of."""
    begin = end + end % 2 if CHUNK_NAME.match(content, end + end % 2) else end  # not all writers even odd lengths out
    rest = len(content) - begin
    if content.startswith(content[:4], begin) and rest >= 12:
        return "damaged: a second recording follows the first; split the file"
    known = CHUNK_NAME.match(content, begin) or content.startswith(b"ID3", begin)
    if rest < SMALLEST_CHUNK or known or content.count(b"\0", begin) == rest:
        return ""
    return f"damaged header: {rest} bytes follow the sound that it tells of"


def _samples(content: bytes) -> tuple[bytes, int, int] | None:
    """Of the chunk of samples: its kind, the place of its length, and that of its body."""
    if content[:4] not in CONTAINERS:
        return None
    at, layout, samples = CONTAINERS[content[:4]]
    head = struct.Struct(layout)
    while at + head.size <= len(content):
        kind, length = head.unpack_from(content, at)
        if kind == samples:
            return kind, at + len(kind), at + head.size
        at += max(24, -(-length // 8) * 8) if len(kind) == 16 else head.size + length
        at += at % 2 if head.size == 8 else 0
    return None


def _rf64(content: bytes) -> tuple[bytes, str]:
    """Where a 64-bit length stands in a chunk of its own."""
    at, place = 12, None
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, at)
        if kind == b"ds64":
            place = at + 16
        if kind == b"data" and place is not None:
            return _length(content, "<Q", place, len(content) - at - 8)
        at += 8 + length + length % 2
    return content, ""


def _length(content: bytes, layout: str, at: int, found: int, header: int = 0) -> tuple[bytes, str]:
    said = struct.unpack_from(layout, content, at)[0] - header
    if 0 < said <= found:
        return content, ""
    missing = _missing(said, found) if 0 < said < LONGEST else ""
    content = content[:at] + struct.pack(layout, found + header) + content[at + 8 :]
    if header:  # Wave64 has the length of the file, too
        content = content[:16] + struct.pack(layout, len(content)) + content[24:]
    return content, missing
