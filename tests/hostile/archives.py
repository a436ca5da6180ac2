"""Archives that unpack to more than any machine holds, whose members lie about themselves, or lead elsewhere."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.hostile.hostile import Hostile, content
from tests.hostile.pickles import mapping, window

GIGABYTE = 1 << 30
HEADER, UTF_8, UNIX = "<IHHHHHIIIHH", 1 << 11, 3


def zeros(size: int, before: bytes = b"", zlib_bits: int = -15) -> bytes:
    """As many zeros, or repetitions of some bytes, deflated: one piece made once and written again and again."""
    piece = (before or b"\0") * ((1 << 20) // len(before or b"\0"))
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib_bits)
    start = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + again * (size // len(piece)) + packer.flush()


def zipped(members: dict[str, tuple[int, bytes, int]]) -> Callable[[Path], object]:
    """Writes a zip by hand.

    Args:
        members: name -> method, packed content, and the size that it is said to have.
    """

    def write(path: Path) -> None:
        out, listing = io.BytesIO(), b""
        for name, (method, packed, size) in members.items():
            at, encoded = out.tell(), name.encode("utf-8", "surrogateescape")
            facts = (20, UTF_8, method, 0, 33, crc(method, packed), len(packed), size, len(encoded), 0)
            out.write(struct.pack(HEADER, 0x04034B50, *facts) + encoded + packed)
            listing += struct.pack("<IBB", 0x02014B50, 20, UNIX) + struct.pack("<HHHHHIIIHH", *facts)
            listing += struct.pack("<HHHII", 0, 0, 0, 0o644 << 16, at) + encoded
        end = out.tell()
        out.write(
            listing + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(members), len(members), len(listing), end, 0)
        )
        path.write_bytes(out.getvalue())

    return write


def crc(method: int, packed: bytes) -> int:
    """Of the content; of what nobody reads to its end, none."""
    if method == zipfile.ZIP_STORED:
        return zlib.crc32(packed)
    unpacked, checksum = zlib.decompressobj(-15), 0
    for _ in range(110):
        piece = unpacked.decompress(packed, 1 << 20)
        checksum, packed = zlib.crc32(piece, checksum), unpacked.unconsumed_tail
    return checksum


def deflated(data: bytes, size: int | None = None) -> tuple[int, bytes, int]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return zipfile.ZIP_DEFLATED, packer.compress(data) + packer.flush(), len(data) if size is None else size


def bomb(size: int, said: int | None = None, of: bytes = b"") -> tuple[int, bytes, int]:
    return zipfile.ZIP_DEFLATED, zeros(size, of), size if said is None else said


def stored(data: bytes, size: int | None = None) -> tuple[int, bytes, int]:
    return zipfile.ZIP_STORED, data, len(data) if size is None else size


def damaged(change: Callable[[bytearray], object]) -> Callable[[Path], object]:
    """Writes a good zip of one picture with something changed in its bytes."""

    def write(path: Path) -> None:
        zipped({"a.png": stored(PNG)})(path)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return write


def tarred(*members: tuple[str, bytes, dict[str, object]], pack: Callable[[bytes], bytes] = bytes) -> Callable:
    """Writes a tar of names, contents and other facts of their headers."""

    def write(path: Path) -> None:
        out = io.BytesIO()
        for name, data, facts in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in facts.items():
                setattr(info, key, value)
            out.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
        path.write_bytes(pack(out.getvalue() + bytes(1024)))

    return write


def tar_bomb(kind: bytes, size: int) -> Callable[[Path], object]:
    """Writes a compressed tar whose one member's header says so, and has so many zeros behind it."""

    def write(path: Path) -> None:
        info = tarfile.TarInfo("a.png")
        info.type, info.size = kind, size
        header = gzip.compress(info.tobuf(tarfile.GNU_FORMAT))
        body = b"\x1f\x8b\x08\0\0\0\0\0\0\3" + zeros(size) + struct.pack("<II", 0, size & 0xFFFFFFFF)
        path.write_bytes(header + body)

    return write


def png(width: int = 8, height: int = 8) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress((b"\0" + b"\x80" * 3 * min(width, 1000)) * min(height, 1000))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PNG = png()
LABELS = b'{"labels": [["a.png", 0]]}'

BOMBS = [
    Hostile("gigabyte_member.zip", "archive", zipped({"a.png": bomb(GIGABYTE)})),
    Hostile("gigabyte_that_says_8_bytes.zip", "archive", zipped({"a.png": bomb(GIGABYTE, 8)})),
    Hostile("small_that_says_4_gigabytes.zip", "archive", zipped({"a.png": deflated(PNG, 0xFFFFFFF0)})),
    Hostile("labels_of_a_gigabyte.zip", "archive", zipped({"dataset.json": bomb(GIGABYTE, of=b"[],")})),
    Hostile("labels_of_lists.zip", "archive", zipped({"dataset.json": bomb(30 << 20, of=b"[],")})),
    Hostile("labels_of_brackets.zip", "archive", zipped({"dataset.json": deflated(b"[" * 100_000)})),
    Hostile("labels_of_one_text.zip", "archive", zipped({"dataset.json": bomb(60 << 20, of=b"a")})),
    Hostile("gigabyte_of_sound.zip", "recordings", zipped({"a.wav": bomb(GIGABYTE, of=b"RIFF")})),
    Hostile("100_megabytes_of_riff.zip", "recordings", zipped({"a.wav": bomb(100 << 20, of=b"RIFF")})),
    Hostile("nested_bomb.zip", "archive", zipped({"b.zip": deflated(b"PK\3\4" + zeros(1 << 24))})),
    Hostile("400_megabyte_member.tar.gz", "archive", tar_bomb(tarfile.REGTYPE, 400 << 20)),
    Hostile("long_name_of_a_gigabyte.tar.gz", "archive", tar_bomb(tarfile.GNUTYPE_LONGNAME, GIGABYTE)),
    Hostile("long_link_of_a_gigabyte.tar.gz", "archive", tar_bomb(tarfile.GNUTYPE_LONGLINK, GIGABYTE)),
    Hostile("pax_header_of_a_gigabyte.tar.gz", "archive", tar_bomb(tarfile.XHDTYPE, GIGABYTE)),
    Hostile("global_header_of_a_gigabyte.tar.gz", "archive", tar_bomb(tarfile.XGLTYPE, GIGABYTE)),
    Hostile("pax_headers_in_a_row.tar", "archive", tarred(*[("a", b"", {"type": tarfile.XHDTYPE})] * 5000)),
    Hostile("sparse_of_terabytes.tar", "archive", tarred(("a.png", b"", {"type": tarfile.GNUTYPE_SPARSE}))),
    Hostile("pickle_of_a_gigabyte.ckpt", "torch", zipped({"archive/data.pkl": bomb(GIGABYTE, of=b"]")})),
    Hostile("storage_of_4_gigabytes.ckpt", "torch", zipped({
        "archive/data.pkl": stored(b"\x80\x02" + mapping(a=window("0", 1 << 30, (8,), (1,))) + b"."),
        "archive/data/0": bomb(GIGABYTE, 0xFFFFFFF0)})),
    Hostile("storage_that_says_32_bytes.ckpt", "torch", zipped({
        "archive/data.pkl": stored(b"\x80\x02" + mapping(a=window("0", 8, (8,), (1,))) + b"."),
        "archive/data/0": bomb(GIGABYTE, 32)})),
    Hostile("numbers_of_a_gigabyte.npz", "npz", zipped({"arr_0.npy": bomb(GIGABYTE)})),
    Hostile("many_members.zip", "archive", zipped({f"{i}.txt": stored(b"") for i in range(3000)})),
]  # fmt: skip
NAMES = [
    Hostile(f"{what}.zip", "archive", zipped({name: stored(PNG)}))
    for what, name in (
        ("path_up", "../../evil.png"),
        ("path_up_within", "a/../../evil.png"),
        ("path_absolute", "/etc/evil.png"),
        ("path_of_windows", "..\\..\\evil.png"),
        ("name_empty", ""),
        ("name_of_dots", "...."),
        ("name_of_nul", "a\0.png"),
        ("name_of_lines", "a\nb\tc.png"),
        ("name_of_escapes", "\x1b[2J\x1b]0;evil\x07.png"),
        ("name_of_half_a_pair", "a\udc80.png"),
        ("name_of_65000_letters", "a" * 65_000 + ".png"),
        ("name_right_to_left", "\u202egnp.exe"),
    )
]
DAMAGED = [
    Hostile("encrypted.zip", "archive", damaged(lambda data: data.__setitem__(data.rindex(b"PK\1\2") + 8, 1))),
    Hostile("unknown_method.zip", "archive", damaged(lambda data: data.__setitem__(data.rindex(b"PK\1\2") + 10, 77))),
    Hostile("offset_beyond.zip", "archive", damaged(lambda data: data.__setitem__(
        slice(data.rindex(b"PK\1\2") + 42, data.rindex(b"PK\1\2") + 46), b"\xff\xff\xff\x7f"))),
    Hostile("listing_beyond.zip", "archive", damaged(lambda data: data.__setitem__(
        slice(data.rindex(b"PK\5\6") + 16, data.rindex(b"PK\5\6") + 20), b"\xff\xff\xff\x7f"))),
    Hostile("more_members_than_there_are.zip", "archive", damaged(lambda data: data.__setitem__(
        slice(data.rindex(b"PK\5\6") + 8, data.rindex(b"PK\5\6") + 12), b"\xff\x7f\xff\x7f"))),
    Hostile("flipped_byte.zip", "archive", damaged(lambda data: data.__setitem__(60, data[60] ^ 0xFF))),
    Hostile("link.zip", "archive", damaged(lambda data: data.__setitem__(
        slice(data.rindex(b"PK\1\2") + 38, data.rindex(b"PK\1\2") + 42), struct.pack("<I", 0o120777 << 16)))),
    Hostile("link_out.tar", "archive", tarred(("a.png", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}))),
    Hostile("hard_link_out.tar", "archive", tarred(("a", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}))),
    Hostile("device.tar", "archive", tarred(("a.png", b"", {"type": tarfile.CHRTYPE}))),
    Hostile("pipe.tar", "archive", tarred(("a.png", b"", {"type": tarfile.FIFOTYPE}))),
    Hostile("path_up.tar", "archive", tarred(("../../evil.png", PNG, {}))),
    Hostile("path_absolute.tar", "archive", tarred(("/etc/evil.png", PNG, {}))),
    Hostile("size_of_8_gigabytes.tar", "archive", tarred(("a.png", PNG, {"size": 1 << 33}))),
    Hostile("negative_size.tar", "archive", tarred(("a.png", PNG, {"size": -1}))),
    Hostile("cut.tar.gz", "archive", tarred(("a.png", PNG, {}), pack=lambda data: gzip.compress(data)[:-20])),
    Hostile("foreign_labels.zip", "archive", zipped({"dataset.json": stored(b'{"labels": [["a.png", "0"]]}')})),
    Hostile("labels_of_numbers.zip", "archive", zipped({"dataset.json": stored(b'{"labels": [[1, 2]]}')})),
    Hostile("label_of_5000_digits.zip", "archive", zipped({"dataset.json": stored(
        json.dumps({"labels": [["a.png", 0]]}).encode().replace(b"0]", b"9" * 5000 + b"]"))})),
    Hostile("label_1e999.zip", "archive", zipped({"dataset.json": stored(b'{"labels": [["a.png", 1e999]]}')})),
    Hostile("labels_in_utf_16.zip", "archive", zipped({"dataset.json": stored(b"\xff\xfe" + b"\xd8\0" * 9)})),
    Hostile("not_an_archive.zip", "archive", content(b"PK\3\4" + bytes(64))),
    Hostile("two_pickles.pt", "torch", zipped({"a/data.pkl": stored(b"N."), "b/data.pkl": stored(b"N.")})),
    Hostile("program.pt", "torch", zipped({"a/data.pkl": stored(b"N."), "a/constants.pkl": stored(b"N."),
            "a/code/a.py": stored(b"import os")})),
]  # fmt: skip

FILES = [*BOMBS, *NAMES, *DAMAGED]
