"""The packed format: samples of one size in one array, memory-mapped and gathered a batch at a time.

A folder holds ``data.npy`` (uint8 pictures ``[N, H, W, C]``, int16 sound ``[N, T]`` or ``[N, T, C]``, float32 latents
of either with channels last), ``labels.npy`` (int64 ``[N]``, where there are classes), ``lengths.npy`` (int64 ``[N]``,
sound: valid samples of a clip before its padding), ``captions.txt`` (a line a sample, where there are texts),
``meta.json`` and ``rejected.tsv``. Generated samples are stored the same way, so that whatever compares two sets of
signals compares two packed data sets.
"""

import io
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmspec.data.meta import AGAIN, DTYPES, SHARDS, DatasetMeta
from mmspec.data.stored import MappedArray, StoredDataset
from mmspec.errors import InputError
from mmspec.files import sha256, staged


class PackedDataset(StoredDataset):
    """A packed folder, memory-mapped. Opening reads a few kilobytes.

    Args:
        folder: as written by `write_packed` or the programs of ``data_prep``.

    Attributes:
        data: the stored samples, uint8 ``[N, H, W, C]`` or int16 ``[N, T]`` or ``[N, T, C]``, read-only.

    Raises:
        InputError: if a file is missing, truncated, foreign, or does not fit the others.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        if (self.folder / SHARDS).exists():
            raise InputError(f"{self.folder} holds its samples in tar shards, and here packed ones are needed.")
        shape = (self.meta.count, *self.meta.stored_shape)
        self._array = MappedArray(self.folder / "data.npy", shape, DTYPES[self.meta.modality])
        self.data = self._array.values
        self._read_labels()

    def __reduce__(self) -> tuple[type["PackedDataset"], tuple[Path]]:
        return PackedDataset, (self.folder,)

    def stored(self, rows: np.ndarray) -> np.ndarray:
        self._array.require_whole()
        taken: np.ndarray = np.take(self.data, rows, axis=0)
        return taken

    def stretches(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        self._array.require_whole()
        taken: np.ndarray = self.data[rows[:, None], positions]
        return taken

    def verify(self) -> None:
        """Read all of ``data.npy`` and compare it with the checksum in ``meta.json``.

        Raises:
            InputError: if they differ.
        """
        if sha256(self.folder / "data.npy") != self.meta.sha256:
            raise InputError(f"{self.folder / 'data.npy'} does not match its checksum in meta.json: {AGAIN}.")


def write_packed(
    folder: str | Path,
    data: np.ndarray,
    labels: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    *,
    meta: DatasetMeta,
) -> DatasetMeta:
    """Write a packed folder, beside its place and then renamed into it, so that nobody reads half of one.

    Args:
        folder: is made with its parents; a packed data set that is there already is replaced.
        data: uint8 ``[N, H, W, C]``, or int16 ``[N, T]`` or ``[N, T, C]``; `encode` makes it from signals.
        labels: int ``[N]`` indices into ``meta.classes``.
        lengths: int ``[N]`` valid samples of each clip.
        meta: its ``count``, ``shape`` and ``sha256`` are filled in here.

    Returns:
        The meta data as written.

    Raises:
        InputError: if ``folder`` holds something else than a packed data set.
        ValueError: if the arrays do not fit each other or the meta data.
    """
    folder = Path(folder)
    refuse_other_content(folder)
    if data.dtype != DTYPES[meta.modality] or data.ndim not in ((4,) if meta.modality == "image" else (2, 3)):
        raise ValueError(f"{meta.modality} cannot be stored from {data.dtype} of the shape {list(data.shape)}.")
    shape = (1, data.shape[1]) if data.ndim == 2 else (data.shape[-1], *data.shape[1:-1])
    meta = replace(meta, count=len(data), shape=tuple(int(size) for size in shape))
    with staged(folder) as beside:
        with DataFile(beside, meta, new=True) as file:
            file.write(0, data)
        return complete(beside, labels, lengths, meta=meta)


def write_part(folder: str | Path, dataset: StoredDataset, rows: np.ndarray) -> DatasetMeta:
    """Write some samples of a data set as a packed one of their own, as `write_packed` does.

    Args:
        folder: is made with its parents.
        dataset: that has them.
        rows: ``[B]`` integers, their indices.

    Raises:
        InputError: if ``folder`` holds something else than a packed data set.
    """
    folder = Path(folder)
    refuse_other_content(folder)
    meta = replace(
        dataset.meta,
        source=str(dataset.folder),
        count=len(rows),
        rejected={},
        converted={},
        statistics={},
        preparation={},
    )
    labels, lengths = (None if each is None else each[rows] for each in (dataset.labels, dataset.lengths))
    captions = dataset.captions and [dataset.captions[row] for row in rows]
    with staged(folder) as beside:
        with DataFile(beside, meta, new=True) as file:
            for number in range(len(rows)):
                file.write(number, dataset.stored(rows[number : number + 1]))
        return complete(beside, labels, lengths, captions, meta=meta)


class DataFile:
    """``data.npy`` of a folder that is being made: rows in any order, from one process or from several.

    Plain writes, no memory map: a full disk is an error and not the end of the process, and what is never written,
    such as the silence behind a recording, is zero and takes no room on most disks.

    Args:
        folder: where the file lies.
        meta: whose ``count`` and ``shape`` say how large it is.
        new: make it, all zeros; otherwise another process has.
    """

    def __init__(self, folder: Path, meta: DatasetMeta, *, new: bool = False) -> None:
        self.dtype = np.dtype(DTYPES[meta.modality])
        shape = (meta.count, *meta.stored_shape)
        header = io.BytesIO()
        fields = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, fields)
        self._start, self._row = header.tell(), math.prod(meta.stored_shape) * self.dtype.itemsize
        self._file = (folder / "data.npy").open("w+b" if new else "r+b")
        if new:
            self._file.write(header.getvalue())
            self._file.truncate(self._start + meta.count * self._row)

    def write(self, row: int, stored: np.ndarray) -> None:
        """Put samples, or the beginning of one, at the beginning of a row and over those behind it."""
        if stored.dtype != self.dtype:
            raise ValueError(f"{self.dtype} is stored, not {stored.dtype}.")
        self._file.seek(self._start + row * self._row)
        self._file.write(np.ascontiguousarray(stored).data)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def __enter__(self) -> "DataFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hand everything that was written to the system, where other processes see it."""
        self._file.close()


def complete(
    folder: Path,
    labels: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
    *,
    meta: DatasetMeta,
) -> DatasetMeta:
    """Write what belongs beside ``data.npy``; returns the meta data with its checksum, as written.

    Raises:
        ValueError: if labels, lengths or captions do not fit the meta data, or a caption has several lines.
    """
    write_labels(folder, labels, lengths, captions, meta=meta)
    meta = replace(meta, sha256=sha256(folder / "data.npy"))
    meta.write(folder)
    return meta


def write_labels(
    folder: Path,
    labels: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
    *,
    meta: DatasetMeta,
) -> None:
    """Write what is known of each sample, as for `complete`."""
    if (labels is None) != (meta.classes is None):
        raise ValueError("labels and meta.classes come together: give both or neither.")
    for name, values in (("labels", labels), ("lengths", lengths)):
        if values is not None:
            if len(values) != meta.count:
                raise ValueError(f"{len(values)} {name} do not fit {meta.count} samples.")
            np.save(folder / f"{name}.npy", np.asarray(values, dtype=np.int64))
    if captions is not None:
        if len(captions) != meta.count or any("\n" in caption for caption in captions):
            raise ValueError(f"{len(captions)} captions, of one line each, do not fit {meta.count} samples.")
        with (folder / "captions.txt").open("w", encoding="utf-8") as file:
            file.writelines(f"{caption}\n" for caption in captions)


def refuse_other_content(folder: Path) -> None:
    """Raise InputError if a folder holds files and is no packed data set."""
    if folder.exists() and not (folder / "meta.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not a packed data set: delete it, or give another folder.")
