"""A set of signals as measures see it: gone through a batch at a time, and summarised once."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from mmspec.data import StoredDataset
from mmspec.data.crops import Crops
from mmspec.data.recordings import Recordings
from mmspec.files import replacing
from mmspec.metrics.begun import BegunFeatures
from mmspec.metrics.features import Extractor, extracted

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Statistic(Protocol[T_co]):
    """A summary of signals that arrive in batches."""

    def update(self, x: Tensor) -> None:
        """Add a batch, ``[B, C, *spatial]``."""

    def result(self) -> T_co:
        """The summary of all batches."""


class SignalSet:
    """Signals to compare: ``for x in signals`` gives float32 ``[B, C, *spatial]`` in [-1, 1] on the device.

    Args:
        source: a packed data set, stretches of its recordings, or whole recordings, of which each is a batch.
        indices: ``[N]`` into the source; None for all.
        batch_size: signals at a time.
        device: where batches are put.
        cache: folder that keeps the features of a whole source on disk; None keeps none.
        begun: folder that keeps, until somebody removes it, those of each batch as it is done, with which a set of the
            same signals goes on; None keeps none.

    Attributes:
        device: as given.
        folder: of the data.
        sha256: of the data, in hexadecimal; of stretches, of the data and how they were cut.
        shape: ``(C, *spatial)`` of a signal, or of the longest there is room for.
        sample_rate: Hz; None for pictures.
        lengths: ``[N]``, valid samples of each signal before its padding; None where all are valid.
        note: a sentence for definitions that says that these are stretches; empty where they are none.
    """

    def __init__(
        self,
        source: StoredDataset | Crops | Recordings,
        indices: Tensor | None = None,
        *,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
        cache: Path | None = None,
        begun: Path | None = None,
    ) -> None:
        everything = torch.arange(len(source))
        self._source, self._batch_size = source, batch_size
        self._indices = everything if indices is None else indices
        self._begun = begun
        self._cache = cache if torch.equal(self._indices, everything) else None
        self._statistics: dict[object, Any] = {}
        self._features: dict[Extractor, Tensor] = {}
        self.device = torch.device(device)
        self.folder = source.folder if isinstance(source, StoredDataset) else source.dataset.folder
        self.sha256, self.shape, self.sample_rate = source.meta.sha256, source.meta.shape, source.meta.sample_rate
        lengths = None if isinstance(source, Crops) else source.lengths
        self.lengths = None if lengths is None else torch.from_numpy(lengths)[self._indices]
        stretches = f"These are stretches of {source.meta.shape[-1]:,} samples, side by side in the recordings."
        self.note = stretches if isinstance(source, Crops) else ""

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Tensor]:
        return self._batches()

    def _batches(self, first: int = 0) -> Iterator[Tensor]:
        """Batches from a number on."""
        if isinstance(self._source, Recordings):
            for index in self._indices[first:].tolist():
                yield self._source[index].to(self.device)
            return
        for start in range(first * self._batch_size, len(self), self._batch_size):
            x, _ = self._source.batch(self._indices[start : start + self._batch_size].numpy())
            yield x.to(self.device)

    @torch.no_grad()
    def gather(self, statistics: Sequence[Callable[["SignalSet"], Statistic[Any]]]) -> None:
        """Find several statistics in one pass over the signals; those that are known already cost nothing.

        Args:
            statistics: functions of a set that begin a summary of it; the function itself is its name.
        """
        new = {begin: begin(self) for begin in statistics if begin not in self._statistics}
        if not new:
            return
        for x in self:
            for statistic in new.values():
                statistic.update(x)
        self._statistics |= {begin: statistic.result() for begin, statistic in new.items()}

    def statistic(self, begin: Callable[["SignalSet"], Statistic[T]]) -> T:
        """The result of one statistic, found once."""
        self.gather([begin])
        result: T = self._statistics[begin]
        return result

    def features(self, extractor: Extractor) -> Tensor:
        """Feature vectors of all signals, float32 ``[n, D]`` on the CPU in their order; extracted once."""
        if extractor not in self._features:
            self._features[extractor] = self._stored(extractor)
        return self._features[extractor]

    def _stored(self, extractor: Extractor) -> Tensor:
        """From the cache, under the checksums of data and network, or else extracted and put there."""
        if self._cache is None or extractor.key is None:
            return self._extracted(extractor)
        whole = "-whole" if isinstance(self._source, Recordings) else ""
        file = self._cache / f"{self.sha256[:16]}-{extractor.key}{whole}.npy"
        try:
            return torch.from_numpy(np.load(file, allow_pickle=False))
        except (FileNotFoundError, ValueError, EOFError):  # none yet, or a damaged one
            pass
        features = self._extracted(extractor)
        with replacing(file) as beside, beside.open("wb") as stream:
            np.save(stream, features.numpy())
        return features

    @torch.no_grad()
    def _extracted(self, extractor: Extractor) -> Tensor:
        extractor, begun = extractor.to(self.device).eval(), BegunFeatures(self._begun_file(extractor))
        found = begun.read()
        for x in self._batches(len(found)):
            found.append(extracted(extractor, x).float().cpu())
            begun.add(found[-1])
        return torch.cat(found)

    def _begun_file(self, extractor: Extractor) -> Path | None:
        """Called after all that the features of its batches follow from."""
        if self._begun is None or extractor.key is None:
            return None
        parts = (self.sha256, extractor.key, type(self._source).__name__, self._batch_size, self._indices.tolist())
        return self._begun / hashlib.sha256(repr(parts).encode()).hexdigest()
