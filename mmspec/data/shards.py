"""Samples in tar shards, as webdataset and others write and read them, by an index of where each lies.

Reading never parses an archive: the index says at which byte of which shard the content of a sample begins, how long it
is and its CRC-32, so that any sample is one read away, and nothing that a shard says of itself is believed. Classes,
captions and lengths lie beside the index as for packed data.
"""

import os
import stat
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from mmspec.data.locations import PIPE, is_stream, locations, name_of, numbered
from mmspec.data.members import Damaged, decode_member
from mmspec.data.meta import DTYPES, SHARDS
from mmspec.data.shard_blocks import ShardBlocks
from mmspec.data.shard_index import ShardIndex
from mmspec.data.stored import StoredDataset
from mmspec.errors import InputError

NEIGHBOURS = 16  # that are tried in the place of a damaged sample
OPEN_FILES = 64


class Contents(Protocol):
    """The bytes of samples."""

    def content(self, row: int) -> bytes:
        """Of one sample; raises Damaged where they are not all there."""


class ShardedDataset(StoredDataset):
    """A folder with the index of tar shards, which lie beside it or elsewhere.

    A sample whose bytes are missing, or are not those that were indexed, is passed over: the one at the same place of
    the next shard stands in for it, in every process and each time alike. What was passed over is named on stderr, and
    in ``remarks``.

    Args:
        folder: as written by ``data_prep`` with ``--shards``, or by ``mmspec prepare shards``.
        shards: where they lie, if not where the index says: as for `locations`. A ``pipe:`` is a command that is run,
            so whoever calls with one must have it from the user, never from a file.

    Attributes:
        streamed: whether they are read from front to back alone.

    Raises:
        InputError: if a file is missing or damaged, or other shards than those of the index are given.
    """

    def __init__(self, folder: str | Path, shards: str | None = None) -> None:
        super().__init__(folder)
        self._read_labels()
        if self.meta.modality == "latent":
            raise InputError(f"{self.folder / SHARDS} lies beside a meta.json of latents, which are packed alone.")
        self._given = shards
        self.index = ShardIndex(self.folder, self.meta)
        self.locations = self._located(shards)
        self.streamed = is_stream(self.locations[0])
        self.parts = np.array(self.index.shards.counts)
        self._contents: Contents = (ShardBlocks if self.streamed else ShardFiles)(self.index, self.locations)
        self._passed_over: Counter[int] = Counter()
        self._why: dict[int, str] = {}
        self._noting = threading.Lock()

    def __reduce__(self) -> tuple[type["ShardedDataset"], tuple[Path, str | None]]:
        return ShardedDataset, (self.folder, self._given)

    def stored(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"indices must lie between 0 and {len(self) - 1}.")
        gathered = np.zeros((len(rows), *self.meta.stored_shape), DTYPES[self.meta.modality])
        for place, row in enumerate(rows.tolist()):
            values = self._whole(row)
            gathered[place, : len(values)] = values
        return gathered

    def verify(self) -> None:
        """Look whether every file is there in its size; what is in them is compared with the index as it is read.

        Raises:
            InputError: if none is.
        """
        if self.streamed:
            return
        for shard, (path, size) in enumerate(zip(self.locations, self.index.shards.sizes, strict=True)):
            if (why := wrong_size(Path(path), size)) is not None:
                self._note(shard, why, 0)
        if len(self._why) == len(self.locations):
            raise InputError(
                f"of the shards of {self.folder} none is whole, and the first, {self._named(0)}: fetch them again, or "
                "say by data.shards where they lie."
            )

    @property
    def remarks(self) -> list[str]:
        return [
            f"{self._named(shard)}: {count} of its samples, counted as often as they were due, were passed over."
            for shard, count in sorted(self._passed_over.items())
        ]

    def _located(self, shards: str | None) -> list[str]:
        names = self.index.shards.names
        if shards is None:
            folder = Path(self.index.shards.folder or self.folder)
            return [str(folder / name) for name in names]
        found = locations(shards)
        of_commands = names if len(found) == len(names) else list(map(numbered, range(len(found))))
        given = {
            of_commands[number] if location.startswith(PIPE) else name_of(location): location
            for number, location in enumerate(found)
        }
        if missing := [name for name in names if name not in given]:
            first, *_, last = [*given, *given]
            raise InputError(
                f"data.shards={shards} stands for {len(given)} shards, {first} to {last}, without {missing[0]} of the "
                f"index in {self.folder}: give all {len(names)} that it has, or index the others."
            )
        return [given[name] for name in names]

    def _whole(self, row: int) -> np.ndarray:
        """A sample as it is stored, or what stands in for it."""
        for candidate in self._stand_ins(row):
            try:
                return self._sample(candidate)
            except Damaged as damaged:
                self._note(self.index.shard(candidate), str(damaged), 1)
        shard = self.index.shard(row)
        raise InputError(f"{NEIGHBOURS} samples in a row cannot be read, the first of them in {self._named(shard)}.")

    def _stand_ins(self, row: int) -> Iterator[int]:
        """The sample, then those at its place in the shards behind, then at the next place."""
        starts, counts, shard = self.index.starts, self.index.shards.counts, self.index.shard(row)
        for number in range(NEIGHBOURS):
            other = (shard + number) % len(counts)
            place = row - starts[shard] + number // len(counts)
            yield starts[other] + place % counts[other]

    def _sample(self, row: int) -> np.ndarray:
        _, size, checksum = self.index.place(row)
        content = self._contents.content(row)
        if len(content) != size:
            raise Damaged("ends before it should by its index")
        if zlib.crc32(content) != checksum:
            raise Damaged("holds bytes that are not those that were indexed")
        signal, meta = decode_member(content), self.meta
        values = signal.values
        shape = meta.stored_shape
        if meta.modality == "audio":
            values = values[:, 0] if meta.shape[0] == 1 and values.shape[1:] == (1,) else values
            shape = (meta.shape[-1] if self.lengths is None else int(self.lengths[row]), *shape[1:])
        if values.shape != shape or values.dtype != DTYPES[meta.modality]:
            raise Damaged(f"holds {values.dtype} {list(values.shape)}, expected {list(shape)} by its index")
        if signal.rate not in (None, meta.sample_rate):
            raise Damaged(f"holds sound at {signal.rate} Hz, expected {meta.sample_rate} by its index")
        return values

    def _note(self, shard: int, why: str, samples: int) -> None:
        with self._noting:
            self._passed_over[shard] += samples
            if shard in self._why:
                return
            self._why[shard] = why
        with suppress(OSError):
            sys.stderr.write(f"{self._named(shard)}; it is passed over, and others stand in for its samples\n")

    def _named(self, shard: int) -> str:
        return f"{self.locations[shard]} {self._why.get(shard, 'cannot be read')}"


class ShardFiles:
    """Contents of samples in files, each in one read.

    Args:
        index: of the shards.
        paths: of them.
    """

    def __init__(self, index: ShardIndex, paths: list[str]) -> None:
        self._index, self._paths = index, paths
        self._file = lru_cache(maxsize=OPEN_FILES)(_opened)

    def content(self, row: int) -> bytes:
        """All bytes of a sample, or as many as there are.

        Raises:
            Damaged: if the file cannot be read.
        """
        offset, size, _ = self._index.place(row)
        try:
            file = self._file(self._paths[self._index.shard(row)])
            return os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise Damaged(_unreadable(error)) from None


def wrong_size(path: Path, size: int) -> str | None:
    """What is wrong with a shard by its size, or None."""
    try:
        found = path.stat()
    except OSError as error:
        return _unreadable(error)
    if not stat.S_ISREG(found.st_mode):
        return "is no file"
    return None if found.st_size == size else f"is of {found.st_size:,} bytes, expected {size:,} by its index"


def _unreadable(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"


class _OpenShard:
    """An open file, closed with its last user."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)


def _opened(path: str) -> _OpenShard:
    file = _OpenShard(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # a pipe in its place must not hold us up
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OSError(0, "it is no file")
    return file
