"""Ogg page by page (RFC 3533): the streams that stand one after the other in a file, and whether all of it is there."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

CAPTURE = b"OggS"
FIRST, LAST = 2, 4  # flags of the pages that begin and end a stream
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
    """A page's header.

    Attributes:
        start: of the page in the file.
        end: of the page, which may lie behind the end of the file.
        first: whether it begins a stream.
        serial: number of its stream.
        number: within its stream.
        continues: whether its last packet goes on on the next page of the stream.
    """

    start: int
    end: int
    first: bool
    serial: int
    number: int
    continues: bool


def chained(content: bytes) -> list[bytes]:
    """The parts of a file that each begin anew, one after the other; streams side by side stay in one part."""
    starts, began = [0], True
    for page in _pages(content):
        if page.first and not began:
            starts.append(page.start)
        began = page.first
    return [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]


def missing(part: bytes) -> str:
    """What of a part is not there, or nothing. A last page that is not marked as such is no loss."""
    last: dict[int, Page] = {}
    end = 0
    for page in _pages(part):
        before = last.get(page.serial)
        if page.start != end or (before is not None and page.number != before.number + 1):
            return f"pages are missing before its page {page.number}"
        if page.end > len(part):
            return f"its page {page.number} is cut short"
        if _checksum(part[page.start : page.end]) != part[page.start + 22 : page.start + 26]:
            return f"its page {page.number} is damaged"
        last[page.serial], end = page, page.end
    if part[end : end + 4] and CAPTURE.startswith(part[end : end + 4]):
        return "its last page is cut short"
    return "its last packet goes on on a page that is missing" if any(page.continues for page in last.values()) else ""


def ended(part: bytes) -> bytes:
    """The part with its last page marked as such: without, libsndfile gets the last samples of Vorbis wrong."""
    last = max(_pages(part), key=lambda page: page.start, default=None)
    if last is None or last.end > len(part) or part[last.start + 5] & LAST:
        return part
    page = bytearray(part[last.start : last.end])
    page[5] |= LAST
    page[22:26] = _checksum(bytes(page))
    return part[: last.start] + page + part[last.end :]


def _pages(content: bytes) -> Iterator[Page]:
    at = content.find(CAPTURE)
    while at >= 0 and len(content) >= at + 27:
        sizes = content[at + 27 : at + 27 + content[at + 26]]
        end = at + 27 + content[at + 26] + sum(sizes)
        serial, number = (int.from_bytes(content[at + place : at + place + 4], "little") for place in (14, 18))
        yield Page(at, end, bool(content[at + 5] & FIRST), serial, number, sizes[-1:] == b"\xff")
        at = content.find(CAPTURE, end)


def _checksum(page: bytes) -> bytes:
    """Of a page: zlib's polynomial, with the bits of every byte and of the sum mirrored."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(MIRRORED)
    found = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "little").translate(MIRRORED)[::-1]
