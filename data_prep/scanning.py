"""A tar shard that somebody else wrote, read from front to back: which samples it holds, and where."""

import hashlib
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data_prep.samples import Rejected
from data_prep.statistics import Sums, sums_of
from mmspec.data.members import ARRAYS, PICTURES, SOUNDS, Damaged, decode_member
from mmspec.data.streams import Unreachable, open_stream
from mmspec.errors import InputError

SIGNALS = (*PICTURES, *SOUNDS, *ARRAYS)
CLASS, CAPTION, DESCRIPTION = "cls", "txt", "json"
KNOWN = (*SIGNALS, CLASS, CAPTION, DESCRIPTION)
CHUNK = 1 << 20
MOST_BYTES = 1 << 30  # of one member
END = bytes(tarfile.BLOCKSIZE)
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


class FoundSample(NamedTuple):
    """A sample of a shard.

    Attributes:
        key: by which its files are called.
        place: offset, size and CRC-32 of its content.
        shape: uint8 ``[H, W, C]`` or int16 ``[T, C]``.
        rate: in Hz, of sound files.
        label: text of its class, or None.
        caption: or None.
        sums: of its values.
    """

    key: str
    place: tuple[int, int, int]
    shape: tuple[int, ...]
    rate: int | None
    label: str | None
    caption: str | None
    sums: Sums


@dataclass
class ScannedShard:
    """What a shard holds.

    Attributes:
        samples: in their order.
        rejected: keys of what is no sample, and why.
        unknown: suffix -> how many members have it that is none of those which are read.
        size: bytes.
        sha256: in hexadecimal.
    """

    samples: list[FoundSample] = field(default_factory=list)
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    size: int = 0
    sha256: str = ""


def scan(location: str) -> ScannedShard:
    """Read one shard.

    Args:
        location: a path, URL or command.

    Raises:
        Damaged: if it is missing, no tar archive, compressed, or cut short.
        InputError: if it does not come.
    """
    try:
        return _scan(location)
    except OSError as error:
        raise Damaged(f"cannot be read ({error.strerror or error})") from None


def _scan(location: str) -> ScannedShard:
    shard = ScannedShard()
    with closing(_Read(location)) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:  # type: ignore[call-overload]
                for key, members in _grouped(archive):
                    _add(shard, key, members)
        except InputError:  # which is a ValueError
            raise
        except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
            if stream.start.startswith(COMPRESSED):
                raise Damaged("is compressed: unpack it, as by 'pipe:gunzip -c FILE'") from None
            raise Damaged(f"is no whole tar archive ({error})") from None
        while stream.read(CHUNK):
            pass
        if stream.end != END:
            raise Damaged("is cut short: the zeros are missing that end an archive")
        shard.size, shard.sha256 = stream.size, stream.digest.hexdigest()
    return shard


class _Read:
    """A shard as it is read, counted and summed up."""

    def __init__(self, location: str) -> None:
        self.location, self.size, self.digest, self.start, self.end = location, 0, hashlib.sha256(), b"", b""
        try:
            self._stream = open_stream(location, 0)
        except Unreachable as error:
            raise InputError(f"{location} {error}: see that it can be read from here.") from None

    def read(self, size: int) -> bytes:
        try:
            content = self._stream.at(self.size, size)
        except Unreachable as error:
            raise InputError(f"{self.location} {error}: see that it can be read from here.") from None
        self.digest.update(content)
        self.size += len(content)
        self.start = self.start or content[:8]
        self.end = (self.end + content)[-len(END) :]
        return content

    def close(self) -> None:
        self._stream.close()


def _grouped(archive: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    """Key -> suffix -> offset and content, of neighbours that are called alike but for what follows the first dot."""
    key, members = "", dict[str, tuple[int, bytes]]()
    for info in archive:
        archive.members = []  # type: ignore[attr-defined]  # or a long listing stays in memory
        folder, _, name = info.name.rpartition("/")
        base, dot, suffix = name.partition(".")
        if not info.isreg() or not dot or _is_meta(info.name):
            continue
        if members and f"{folder}/{base}" != key:
            yield key, members
            members = {}
        key = f"{folder}/{base}"
        suffix = suffix.lower()
        members[suffix] = (info.offset_data, _content(archive, info) if suffix in KNOWN else b"")
    if members:
        yield key, members


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    if info.size > MOST_BYTES or info.issparse():
        raise Damaged(f"holds {info.name} with holes, or of more than {MOST_BYTES:,} bytes, which is not read")
    file = archive.extractfile(info)
    content = file.read() if file else b""
    if len(content) != info.size:
        raise Damaged(f"is cut short in {info.name}")
    return content


def _is_meta(name: str) -> bool:
    """Whether a member says something of the shard and not of a sample, as webdataset names these."""
    return any(part.startswith("__") and part.endswith("__") for part in name.split("/"))


def _add(shard: ScannedShard, key: str, members: dict[str, tuple[int, bytes]]) -> None:
    """A sample to those of the shard, or to those that are none."""
    shard.unknown.update(suffix for suffix in members if suffix not in KNOWN)
    try:
        shard.samples.append(_sample(key.removeprefix("/"), members))
    except Rejected as why:
        shard.rejected.append((key.removeprefix("/"), why.reason, why.detail))


def _sample(key: str, members: dict[str, tuple[int, bytes]]) -> FoundSample:
    signals = [suffix for suffix in members if suffix in SIGNALS]
    if len(signals) != 1:
        suffixes = ", ".join(f".{suffix}" for suffix in members)
        raise Rejected("no signal" if not signals else "several signals", f"it has {suffixes}")
    offset, content = members[signals[0]]
    try:
        signal = decode_member(content)
    except Damaged as why:
        raise Rejected(f"unusable .{signals[0]}", str(why)) from None
    told = _description(members)
    label = _text(members, CLASS) if CLASS in members else told.get("label")
    caption = _text(members, CAPTION) if CAPTION in members else told.get("caption")
    place = (offset, len(content), zlib.crc32(content))
    sums = sums_of(signal.values)
    return FoundSample(key, place, signal.values.shape, signal.rate, _plain(label), _plain(caption), sums)


def _description(members: dict[str, tuple[int, bytes]]) -> dict[str, Any]:
    if DESCRIPTION not in members:
        return {}
    try:
        told = json.loads(members[DESCRIPTION][1])
    except (ValueError, RecursionError) as error:
        raise Rejected("unusable .json", str(error)) from None
    return told if isinstance(told, dict) else {}


def _text(members: dict[str, tuple[int, bytes]], suffix: str) -> str:
    try:
        return members[suffix][1].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"unusable .{suffix}", str(error)) from None


def _plain(told: Any) -> str | None:
    """On one line; None of what is empty, or neither text nor whole number."""
    if isinstance(told, bool) or not isinstance(told, str | int):
        return None
    return " ".join(str(told).split()) or None
