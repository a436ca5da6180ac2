"""The chunks of WAV (also RF64 and Wave64), AIFF and CAF: where each stands, and what they say of the samples' codec.

A container is whole or cut short whatever its codec is; a codec tells in which pieces its samples come.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
# Magic number -> where chunks begin, kind and length of a chunk, the chunk of the samples.
CONTAINERS = {
    b"RIFF": (12, "<4sI", b"data"),
    b"RF64": (12, "<4sI", b"data"),
    b"BW64": (12, "<4sI", b"data"),
    b"FORM": (12, ">4sI", b"SSND"),
    b"caff": (8, ">4sQ", b"data"),
    W64[:4]: (40, "<16sQ", W64_DATA),
}
NAME = re.compile(rb"[ -~]{4}")
# Where a chunk says which codec it is: kind -> place, length.
CODECS = {b"fmt ": (0, 2), b"COMM": (18, 4), b"desc": (8, 4)}
EXTENSIBLE, SUBFORMAT = 0xFFFE, 24  # a WAV's codec that stands further behind
BLOCKS = ("0x0002", "0x0011", "0x0031")  # Microsoft's and IMA's ADPCM, GSM 6.10: decoded block by block
PLAIN = (  # which say a sample at a time what it is
    *("0x0001", "0x0003", "0x0006", "0x0007"),
    *("NONE", "twos", "sowt", "lpcm", "fl32", "FL32", "fl64", "FL64", "ulaw", "ULAW", "alaw", "ALAW"),
)


@dataclass(frozen=True)
class Chunk:
    """One chunk.

    Attributes:
        kind: its name, of 4 bytes, or of 16 in Wave64.
        place: of its length in the file.
        body: where its content begins.
        length: of that, as the file says; of Wave64 and its header.
    """

    kind: bytes
    place: int
    body: int
    length: int


def chunks(content: bytes) -> Iterator[Chunk]:
    """One after the other, as far as their lengths lead; none of a file of another format."""
    if content[:4] not in CONTAINERS:
        return
    at, layout, _ = CONTAINERS[content[:4]]
    head = struct.Struct(layout)
    while at + head.size <= len(content):
        kind, length = head.unpack_from(content, at)
        yield Chunk(kind, at + len(kind), at + head.size, length)
        at += max(24, -(-length // 8) * 8) if len(kind) == 16 else head.size + length
        at += at % 2 if head.size == 8 else 0


def samples(content: bytes) -> Chunk | None:
    """The chunk of the samples; None where the file has none, or another format."""
    return next(sounds(content), None)


def sounds(content: bytes) -> Iterator[Chunk]:
    """Every chunk of samples, of which there should be one."""
    for chunk in chunks(content):
        if chunk.kind == CONTAINERS[content[:4]][2]:
            yield chunk


def codec(content: bytes) -> str | None:
    """The codec as the file names it: ``0x0055`` of a WAV or Wave64, ``ima4`` of AIFF-C or CAF; None where none is."""
    chunk = _description(content)
    if chunk is None:
        return None
    place, length = CODECS[chunk.kind[:4]]
    named = content[chunk.body + place : chunk.body + min(place + length, chunk.length)]
    if chunk.kind[:4] != b"fmt ":
        return named.decode("latin-1") or None
    tag = int.from_bytes(named, "little")
    if tag == EXTENSIBLE:
        tag = int.from_bytes(content[chunk.body + SUBFORMAT : chunk.body + SUBFORMAT + 2], "little")
    return f"0x{tag:04x}"


def block(content: bytes) -> tuple[int, int] | None:
    """Bytes and samples of a block, of a WAV or Wave64 whose codec decodes whole blocks only; None of all else."""
    chunk = _description(content)
    if chunk is None or codec(content) not in BLOCKS:
        return None
    size, count = (int.from_bytes(content[chunk.body + at : chunk.body + at + 2], "little") for at in (12, 18))
    return (size, count) if size and count else None


def _description(content: bytes) -> Chunk | None:
    return next((chunk for chunk in chunks(content) if chunk.kind[:4] in CODECS), None)
