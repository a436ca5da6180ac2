"""What every data set on disk offers, however its samples lie there."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from mmspec.data.array_file import HEADER_BYTES, array_header
from mmspec.data.meta import AGAIN, DatasetMeta
from mmspec.data.values import decode
from mmspec.errors import InputError
from mmspec.strangers import clipped, refuse_irregular

if TYPE_CHECKING:
    from torch import Tensor


class StoredDataset(ABC):
    """A folder with ``meta.json``, and beside it ``labels.npy``, ``lengths.npy`` and ``captions.txt`` where there are
    any. `mmspec.data.open_dataset` opens one; objects pickle as what they were opened by.

    Args:
        folder: of the data set.

    Attributes:
        folder: its absolute path.
        meta: what it says about itself.
        labels: int64 ``[N]``, or None.
        lengths: int64 ``[N]`` valid samples of each clip before its padding, or None.
        parts: ``[P]``, how many samples lie together in each of the parts that are read from front to back; None where
            any sample is as near as any other.

    Raises:
        InputError: if a file is missing, truncated, foreign, or does not fit the others.
    """

    parts: np.ndarray | None = None

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.meta = DatasetMeta.read(self.folder)
        self.labels: np.ndarray | None = None
        self.lengths: np.ndarray | None = None

    def _read_labels(self) -> None:
        """What is known of each sample; for subclasses, once they have seen that the samples are there."""
        classes = self.meta.classes
        self.labels = self._integers("labels.npy", 0, len(classes) - 1) if classes else None
        has_lengths = (self.folder / "lengths.npy").exists()
        self.lengths = self._integers("lengths.npy", 1, self.meta.shape[-1]) if has_lengths else None

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

    @abstractmethod
    def stored(self, rows: np.ndarray) -> np.ndarray:
        """Samples as `encode` gives them: uint8 ``[B, H, W, C]``, int16 ``[B, T]`` or ``[B, T, C]``.

        Args:
            rows: ``[B]`` integers, from 0 to below the number of samples.

        Raises:
            InputError: if they cannot be read.
        """

    @abstractmethod
    def verify(self) -> None:
        """Look whether what is on disk is what was written there, as far as that is done before a run begins.

        Raises:
            InputError: if nothing can be trained on it.
        """

    def batch(self, indices: "Sequence[int] | np.ndarray | Tensor") -> "tuple[Tensor, Tensor | None]":
        """Gather a batch at once.

        Args:
            indices: ``[B]`` integers.

        Returns:
            x0 ``[B, C, *spatial]`` float32 in [-1, 1], and labels ``[B]`` int64, or None where there are no classes.

        Raises:
            IndexError: if an index is not in the set.
            InputError: if samples cannot be read.
        """
        import torch

        rows = np.asarray(indices)
        x0 = decode(self.stored(rows))
        return x0, None if self.labels is None else torch.from_numpy(np.take(self.labels, rows))

    def stretches(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Parts of stored recordings, int16 ``[B, t]`` or ``[B, t, C]``.

        Args:
            rows: ``[B]`` integers.
            positions: ``[B, t]``, from 0 to below ``meta.shape[-1]``, of each.
        """
        taken: np.ndarray = self.stored(rows)[np.arange(len(rows))[:, None], positions]
        return taken

    @property
    def remarks(self) -> list[str]:
        """What those should know who trained on it, a sentence each."""
        return []

    def _integers(self, name: str, least: int, most: int) -> np.ndarray:
        path = self.folder / name
        values = np.array(mapped(path, (self.meta.count,), "int64").view(np.ndarray))
        if values.min() < least or values.max() > most:
            raise InputError(f"{path} has values outside {least} to {most}: {AGAIN}.")
        return values


class MappedArray:
    """A NumPy file in memory, of which only what is asked for is read.

    Args:
        path: of the file.
        shape: that it must have.
        dtype: that it must have.

    Raises:
        InputError: if it is missing, truncated or another.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        found = mapped(path, shape, dtype)
        self.path = path
        self.values = found.view(np.ndarray)  # plain arrays index faster than np.memmap
        self._file, self._size = cast(mmap, found.base), found.offset + found.nbytes

    def require_whole(self) -> None:
        """Raise InputError if it was cut short since: the system would end the process without a word."""
        if self._file.size() < self._size:
            raise InputError(f"{self.path} was cut short while it was in use: {AGAIN}.")


def mapped(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    """A NumPy file of a data set, mapped.

    Raises:
        InputError: if it is missing, truncated, or of another shape or type.
    """
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
