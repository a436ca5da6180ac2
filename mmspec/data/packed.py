"""The packed format: samples of one size in one array, memory-mapped and gathered a batch at a time.

A folder holds ``data.npy`` (uint8 pictures ``[N, H, W, C]``, int16 sound ``[N, T]`` or ``[N, T, C]``, float32 latents
of either with channels last), ``labels.npy`` (int64 ``[N]``, where there are classes), ``lengths.npy`` (int64 ``[N]``,
sound: valid samples of a clip before its padding), ``captions.txt`` (a line a sample, where there are texts),
``meta.json`` and ``rejected.tsv``. Generated samples are stored the same way, so that whatever compares two sets of
signals compares two packed data sets.

torch is imported only where arrays become tensors: preparing data needs none of it.
"""

import io
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from mmspec.data.array_file import HEADER_BYTES, array_header
from mmspec.data.meta import DTYPES, DatasetMeta
from mmspec.errors import InputError
from mmspec.files import sha256, staged
from mmspec.strangers import clipped, refuse_irregular

if TYPE_CHECKING:
    from torch import Tensor

AGAIN = "make the data set again"


def decode(stored: np.ndarray) -> "Tensor":
    """Stored samples as a network sees them.

    Args:
        stored: uint8 ``[B, H, W, C]``, int16 ``[B, T]`` or ``[B, T, C]``, or float32 latents ``[B, *spatial, C]``.

    Returns:
        ``[B, C, *spatial]`` float32 in [-1, 1]: uint8 / 127.5 - 1, int16 / 32768; latents as they are.
    """
    import torch

    x = torch.from_numpy(stored)
    x = x.unsqueeze(1) if x.ndim == 2 else x.movedim(-1, 1)
    x = x.to(torch.float32, memory_format=torch.contiguous_format)
    if stored.dtype == np.float32:
        return x
    return x.div_(127.5).sub_(1) if stored.dtype == np.uint8 else x.div_(32768)


def encode(x: "Tensor | np.ndarray") -> np.ndarray:
    """Signals as they are stored: the way back from `decode`.

    Args:
        x: ``[B, C, H, W]`` or ``[B, C, T]``, floating point, nominally in [-1, 1].

    Returns:
        uint8 ``[B, H, W, C]``, or int16 ``[B, T]`` (``[B, T, C]`` where there are several channels).

    Raises:
        ValueError: if x has not one or two spatial axes, or is not finite.
    """
    if x.ndim not in (3, 4):
        raise ValueError(f"expected signals [B, C, T] or [B, C, H, W], got the shape {list(x.shape)}.")
    array = np.moveaxis(to_array(x), 1, -1)
    if not np.isfinite(array).all():
        raise ValueError("signals with NaN or infinity cannot be stored.")
    if array.ndim == 4:
        return to_uint8(array)
    return to_int16(array[..., 0] if array.shape[-1] == 1 else array)


def to_array(x: "Tensor | np.ndarray") -> np.ndarray:
    """The same numbers, float32 of the same shape, wherever they are."""
    return x.astype(np.float32, copy=False) if isinstance(x, np.ndarray) else x.detach().float().cpu().numpy()


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] as pictures store them: (x * 127.5 + 128) clipped to [0, 255] and cut to integers."""
    return (values * 127.5 + 128).clip(0, 255).astype(np.uint8)


def to_int16(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] as sound stores them: x * 32768 rounded and clipped, the inverse of `decode`."""
    rounded: np.ndarray = np.rint(values * 32768)
    return rounded.clip(-32768, 32767).astype(np.int16)


class PackedDataset:
    """A packed folder, memory-mapped. Opening reads a few kilobytes; objects pickle as their path.

    Args:
        folder: as written by `write_packed` or the programs of ``data_prep``.

    Attributes:
        meta: what the folder says about itself, a `DatasetMeta`.
        data: the stored samples, uint8 ``[N, H, W, C]`` or int16 ``[N, T]`` or ``[N, T, C]``, read-only.
        labels: int64 ``[N]``, or None.
        lengths: int64 ``[N]`` valid samples of each clip before its padding, or None.

    Raises:
        InputError: if a file is missing, truncated, foreign, or does not fit the others.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.meta = meta = DatasetMeta.read(self.folder)
        mapped = _map(self.folder / "data.npy", (meta.count, *meta.stored_shape), DTYPES[meta.modality])
        self._file, self._size = cast(mmap, mapped.base), mapped.offset + mapped.nbytes
        self.data = mapped.view(np.ndarray)  # plain arrays index faster than np.memmap
        self.labels = self._integers("labels.npy", 0, len(meta.classes) - 1) if meta.classes else None
        has_lengths = (self.folder / "lengths.npy").exists()
        self.lengths = self._integers("lengths.npy", 1, meta.shape[-1]) if has_lengths else None

    def __len__(self) -> int:
        return self.meta.count

    @cached_property
    def captions(self) -> list[str] | None:
        """A text of each sample, or None.

        Raises:
            InputError: if there are more or fewer texts than samples.
        """
        path = self.folder / "captions.txt"
        if not path.exists():
            return None
        refuse_irregular(path)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no text in UTF-8 ({error.reason}): {AGAIN}.") from None
        if len(lines) != self.meta.count:
            raise InputError(f"{path} has {len(lines)} lines, expected {self.meta.count} by its meta.json: {AGAIN}.")
        return lines

    def __reduce__(self) -> tuple[type["PackedDataset"], tuple[Path]]:
        return PackedDataset, (self.folder,)

    def batch(self, indices: "Sequence[int] | np.ndarray | Tensor") -> "tuple[Tensor, Tensor | None]":
        """Gather a batch at once.

        Args:
            indices: ``[B]`` integers.

        Returns:
            x0 ``[B, C, *spatial]`` float32 in [-1, 1], and labels ``[B]`` int64, or None where there are no classes.

        Raises:
            IndexError: if an index is not in the set.
            InputError: if the file was cut short since it was opened.
        """
        import torch

        if self._file.size() < self._size:  # the system would end the process without a word
            raise InputError(f"{self.folder / 'data.npy'} was cut short while it was in use: {AGAIN}.")

        rows = np.asarray(indices)
        x0 = decode(np.take(self.data, rows, axis=0))
        return x0, None if self.labels is None else torch.from_numpy(np.take(self.labels, rows))

    def verify(self) -> None:
        """Read all of ``data.npy`` and compare it with the checksum in ``meta.json``.

        Raises:
            InputError: if they differ.
        """
        if sha256(self.folder / "data.npy") != self.meta.sha256:
            raise InputError(f"{self.folder / 'data.npy'} does not match its checksum in meta.json: {AGAIN}.")

    def _integers(self, name: str, least: int, most: int) -> np.ndarray:
        path = self.folder / name
        values = np.array(_map(path, (self.meta.count,), "int64").view(np.ndarray))
        if values.min() < least or values.max() > most:
            raise InputError(f"{path} has values outside {least} to {most}: {AGAIN}.")
        return values


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


def write_part(folder: str | Path, dataset: PackedDataset, rows: np.ndarray) -> DatasetMeta:
    """Write some samples of a packed data set as one of their own, as `write_packed` does.

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
            for number, row in enumerate(rows):
                file.write(number, dataset.data[row])
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
        (folder / "captions.txt").write_text("".join(f"{caption}\n" for caption in captions), encoding="utf-8")
    meta = replace(meta, sha256=sha256(folder / "data.npy"))
    meta.write(folder)
    return meta


def refuse_other_content(folder: Path) -> None:
    """Raise InputError if a folder holds files and is no packed data set."""
    if folder.exists() and not (folder / "meta.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not a packed data set: delete it, or give another folder.")


def _map(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    refuse_irregular(path)
    try:
        with path.open("rb") as file:
            found, fortran, kind, offset = array_header(file.read(HEADER_BYTES))
        if (found, kind) != (shape, np.dtype(dtype)) or fortran:
            held = clipped(f"{kind} {list(found)}")
            raise InputError(f"{path} holds {held}, expected {dtype} {list(shape)} by its meta.json: {AGAIN}.")
        array = np.memmap(path, kind, "r", offset, shape)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {AGAIN}.") from None
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is truncated or not a NumPy array ({error}): {AGAIN}.") from None
    if (extra := path.stat().st_size - array.offset - array.nbytes) > 0:
        raise InputError(f"{path} is {extra} bytes longer than its header says: {AGAIN}.")
    return array
