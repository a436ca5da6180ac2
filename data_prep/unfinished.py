"""Lengths in the headers of sound: completed where a stream had none yet, and held against what the file has.

libsndfile reads WAV, AIFF and AU to their ends where all bits of a length are set.
"""

import struct

from data_prep import chunks

FLAC, AU, VOC = b"fLaC", b".snd", b"Creative Voice File"
# Upper 8 of 32 bits of a length that stands for none: of a stream, which had not ended when its header was written.
STREAMED = (0x7F, 0x80, 0xFF)
LONGEST = 1 << 62
SECOND = "damaged: a second recording follows the first; split the file"
SMALLEST_CHUNK = 8  # its kind and its length


def completed(content: bytes) -> tuple[bytes, str, int | None]:
    """Lengths as they should be.

    Returns:
        The file with the length of its sound, where none was written: to its end; what is missing of that length;
        and how many samples there are, where libsndfile would invent more.
    """
    if content.startswith(VOC):
        return content, _voc(content), None
    if content.startswith(AU):
        return *_streamed(content, ">I", 8, int.from_bytes(content[4:8], "big")), None
    found = list(chunks.sounds(content))
    if not found:
        return content, "", None
    if len(found) > 1:
        return content, "damaged: a second chunk of sound follows the first", None
    content, missing = _chunk(content, found[0])
    content, cut, count = _in_blocks(content)
    return content, missing or cut, count


def _chunk(content: bytes, chunk: chunks.Chunk) -> tuple[bytes, str]:
    """With a length of the one chunk of samples."""
    found = len(content) - chunk.body
    if content[:4] in (b"RF64", b"BW64"):  # a 64-bit length stands in a chunk of its own
        content = b"RF64" + content[4:]  # of which BW64 is a later name, which libsndfile does not know
        place = next((each.body + 8 for each in chunks.chunks(content) if each.kind == b"ds64"), None)
        return (content, "") if place is None else _length(content, "<Q", place, found)
    if len(chunk.kind) == 16:
        return _length(content, "<Q", chunk.place, found, header=24)
    if content.startswith(b"caff"):
        return _length(content, ">Q", chunk.place, found)
    return _streamed(content, "<I" if chunk.kind == b"data" else ">I", chunk.place, chunk.body)


def _in_blocks(content: bytes) -> tuple[bytes, str, int | None]:
    """With a length of whole blocks, where a codec has such; what is missing of the last; and how many samples."""
    chunk, block = chunks.samples(content), chunks.block(content)
    if chunk is None or block is None:
        return content, "", None
    layout, header = ("<Q", 24) if len(chunk.kind) == 16 else ("<I", 0)
    whole, rest = divmod(min(chunk.length - header, len(content) - chunk.body), block[0])
    length = struct.pack(layout, whole * block[0] + header)
    content = content[: chunk.place] + length + content[chunk.place + len(length) :]
    cut = f"{rest} of the {block[0]} bytes of its last block" if rest > 1 else ""  # a byte evens an odd length out
    return content, cut, whole * block[1]


def flac(content: bytes) -> tuple[bytes, str, int]:
    """The file without its number of samples, so that a decoder reads all; nothing; that number, 0 for unknown."""
    place = slice(21, 26)  # behind a byte that this number shares with the bits a sample
    count = int.from_bytes(content[place], "big") & 0xFFFFFFFFF
    upper = bytes([content[21] & 0xF0, 0, 0, 0, 0]) if len(content) > 26 else content[place]
    return content[:21] + upper + content[26:], "", count


def behind_flac(content: bytes) -> str:
    """What is lost where no frames follow the promised ones: nothing, but where another recording begins."""
    return SECOND if content.find(FLAC + b"\0\0\0\x22", len(FLAC)) > 0 else ""


def _streamed(content: bytes, layout: str, at: int, body: int) -> tuple[bytes, str]:
    """With a length of 32 bits at ``at`` of the samples from ``body`` on."""
    said, found = struct.unpack_from(layout, content, at)[0] if len(content) >= at + 4 else 0, len(content) - body
    if said == 0 and found > 0 and not chunks.NAME.match(content, body):  # a name: the next chunk, behind no samples
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
    begin = end + end % 2 if chunks.NAME.match(content, end + end % 2) else end  # not all writers even odd lengths out
    rest = len(content) - begin
    if content.startswith(content[:4], begin) and rest >= 12:
        return SECOND
    known = chunks.NAME.match(content, begin) or content.startswith(b"ID3", begin)
    if rest < SMALLEST_CHUNK or known or content.count(b"\0", begin) == rest:
        return ""
    return f"damaged header: {rest} bytes follow the sound that it tells of"


def _length(content: bytes, layout: str, at: int, found: int, header: int = 0) -> tuple[bytes, str]:
    said = struct.unpack_from(layout, content, at)[0] - header
    if 0 < said <= found:
        return content, ""
    missing = _missing(said, found) if 0 < said < LONGEST else ""
    content = content[:at] + struct.pack(layout, found + header) + content[at + 8 :]
    if header:  # Wave64 has the length of the file, too
        content = content[:16] + struct.pack(layout, len(content)) + content[24:]
    return content, missing
