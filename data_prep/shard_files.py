"""Tar shards as webdataset reads them: a sample's files side by side, called alike but for their suffixes."""

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Piece(NamedTuple):
    """Where the content of a sample waits, and what is told of it.

    Attributes:
        key: by which its files are called.
        start: of its content, in bytes.
        size: of it, in bytes.
        checksum: CRC-32 of it.
        label: number of its class, or None.
        caption: or None.
    """

    key: str
    start: int
    size: int
    checksum: int
    label: int | None
    caption: str | None


@dataclass(frozen=True)
class WrittenShard:
    """A shard that is on disk.

    Attributes:
        name: of the file.
        size: bytes.
        sha256: in hexadecimal.
        places: int64 ``[n, 3]``, offset, size and CRC-32 of the content of each sample.
    """

    name: str
    size: int
    sha256: str
    places: np.ndarray


def write_shard(file: Path, contents: Path, pieces: Sequence[Piece], suffix: str) -> WrittenShard:
    """Write one shard, the same bytes whoever writes it and when.

    Args:
        file: to write.
        contents: holds those of the samples.
        pieces: the samples.
        suffix: of their contents' files.
    """
    places = []
    with contents.open("rb") as waiting, tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for piece in pieces:
            if piece.label is not None:
                _add(archive, f"{piece.key}.cls", str(piece.label).encode())
            content = os.pread(waiting.fileno(), piece.size, piece.start)
            offset = archive.offset + tarfile.BLOCKSIZE  # behind the member's header
            _add(archive, f"{piece.key}.{suffix}", content)
            places.append((offset, piece.size, piece.checksum))
            if piece.caption is not None:
                _add(archive, f"{piece.key}.txt", piece.caption.encode())
    return WrittenShard(file.name, file.stat().st_size, sha256(file), np.array(places, np.int64))


def sha256(file: Path) -> str:
    """Of a file, in hexadecimal, once it is on the disk."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
