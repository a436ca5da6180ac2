"""Where each sample of a sharded data set lies: ``index.npy`` and ``shards.json``."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path, PurePosixPath

import numpy as np

from mmspec.data.meta import AGAIN, SHARDS, DatasetMeta
from mmspec.data.packed import write_labels
from mmspec.data.stored import MappedArray
from mmspec.documents import mended, read_json
from mmspec.errors import InputError
from mmspec.files import sha256
from mmspec.typed import read, write

FORMAT = "mmspec-shards-1"
INDEX = "index.npy"


@dataclass(frozen=True)
class ShardList:
    """The contents of ``shards.json``: one place a shard in every list.

    Attributes:
        format: "mmspec-shards-1".
        names: paths below the folder that they lie in.
        counts: samples in each; those of a shard have neighbouring numbers, in the order in which they lie there.
        sizes: bytes.
        sha256: in hexadecimal.
        folder: that they lie in; None for that of the index.
    """

    format: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    sha256: tuple[str, ...]
    folder: str | None = None

    def write(self, folder: Path) -> None:
        """Write ``shards.json``, a line a key."""
        lines = [f"  {json.dumps(key)}: {json.dumps(write(value))}" for key, value in vars(self).items()]
        (folder / SHARDS).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def of(cls, folder: Path, meta: DatasetMeta) -> "ShardList":
        """Read ``shards.json``.

        Raises:
            InputError: if it is damaged, or contradicts itself or ``meta.json``.
        """
        path = folder / SHARDS
        with mended(AGAIN):
            shards = read(cls, read_json(path, mend=AGAIN), f"{path}:")
            if problem := shards._contradiction(meta):
                raise InputError(f"{path} has {problem}")
        return shards

    def _contradiction(self, meta: DatasetMeta) -> str | None:
        if self.format != FORMAT:
            return f"the format {self.format!r}, expected {FORMAT!r}"
        lists = (self.names, self.counts, self.sizes, self.sha256)
        if len({len(each) for each in lists}) != 1 or not self.names:
            return "lists of other lengths than one place a shard"
        if min(self.counts) < 1 or sum(self.counts) != meta.count:
            return f"counts that are not those of {meta.count} samples, of one or more a shard"
        paths = map(PurePosixPath, self.names)
        if outside := [str(path) for path in paths if path.is_absolute() or ".." in path.parts]:
            return f"the name {outside[0]!r}, which leads out of its folder"
        return None


def write_index(
    folder: Path,
    shards: ShardList,
    places: np.ndarray,
    labels: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
    *,
    meta: DatasetMeta,
) -> DatasetMeta:
    """Write the index of shards, and what is known of each sample; returns the meta data with its checksum, as written.

    Args:
        folder: of the index.
        shards: what they are.
        places: int64 ``[N, 3]``, offset, size and CRC-32 of the content of each sample.
        labels: int ``[N]`` indices into ``meta.classes``.
        lengths: int ``[N]`` valid samples of each clip.
        captions: of one line each.
        meta: whose ``sha256`` is filled in here.

    Raises:
        ValueError: if these do not fit each other.
    """
    np.save(folder / INDEX, places)
    shards.write(folder)
    write_labels(folder, labels, lengths, captions, meta=meta)
    meta = replace(meta, sha256=sha256(folder / INDEX))
    meta.write(folder)
    return meta


class ShardIndex:
    """Of a sharded data set, by the number of a sample.

    Args:
        folder: of the data set.
        meta: of it.

    Attributes:
        shards: what they are.
        starts: the first sample of each shard, and behind them the number of all.

    Raises:
        InputError: if the files are damaged or do not fit each other.
    """

    def __init__(self, folder: Path, meta: DatasetMeta) -> None:
        self.shards = ShardList.of(folder, meta)
        self.starts = [0, *accumulate(self.shards.counts)]
        self._places = MappedArray(folder / INDEX, (meta.count, 3), "int64")

    def shard(self, row: int) -> int:
        """In which one it lies."""
        return bisect_right(self.starts, row) - 1

    def place(self, row: int) -> tuple[int, int, int]:
        """Offset of its content in the shard and its size, in bytes, and its CRC-32.

        Raises:
            InputError: if the file was cut short since it was opened, or points out of the shard.
        """
        self._places.require_whole()
        offset, size, checksum = self._places.values[row].tolist()
        if min(offset, size - 1) < 0 or offset + size > self.shards.sizes[self.shard(row)]:
            raise InputError(f"{self._places.path} points out of a shard for sample {row}: {AGAIN}.")
        return offset, size, checksum
