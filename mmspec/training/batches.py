"""Which samples a training step sees: a function of seed and step alone."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from math import gcd
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from mmspec.diffusion.conditions import Batch


class Dataset(Protocol):
    """What training needs of a dataset; see `mmspec.data.StoredDataset`."""

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """``[B, C, *spatial]`` float32 in [-1, 1], and int64 labels ``[B]`` or None."""
        ...


@runtime_checkable
class InParts(Protocol):
    """A data set whose samples lie together in parts, which are read from front to back; see `ShardOrder`."""

    parts: np.ndarray | None


class Order(Protocol):
    """Which samples each step sees, over all processes: every sample once in each epoch."""

    def indices(self, step: int) -> np.ndarray:
        """Indices of the samples of a step, ``[batch_size]``."""
        ...


def sample_order(dataset: Dataset, batch_size: int, seed: int) -> Order:
    """The order in which a data set is trained on.

    Args:
        dataset: of which `ShardOrder` follows the parts, if it has any.
        batch_size: samples a step, over all processes.
        seed: of the shuffling.
    """
    parts = parts_of(dataset)
    return SampleOrder(len(dataset), batch_size, seed) if parts is None else ShardOrder(parts, batch_size, seed)


def parts_of(dataset: Dataset) -> np.ndarray | None:
    """``[P]``, the sizes of the parts in which the samples of a data set lie, or None."""
    return dataset.parts if isinstance(dataset, InParts) else None


def step_seed(*key: int) -> int:
    """A well mixed 64-bit seed from a few integers such as (seed, step, rank)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def sample_seeds(count: int, *key: int) -> list[int]:
    """As `step_seed`, one for each of ``count`` samples."""
    return [int(seed) >> 1 for seed in np.random.SeedSequence(key).generate_state(count, np.uint64)]


class SampleOrder:
    """An endless sequence of shuffled epochs, cut into batches; a batch may span two epochs.

    Args:
        count: samples in the data set.
        batch_size: samples a step, over all processes.
        seed: of the shuffling.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count = count
        self.batch_size = batch_size
        self._epoch = lru_cache(maxsize=2)(lambda epoch: np.random.default_rng((seed, epoch)).permutation(count))

    def indices(self, step: int) -> np.ndarray:
        """Indices of the samples of a step, ``[batch_size]``."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = positions // self.count, positions % self.count
        chosen = np.empty_like(positions)
        for epoch in np.unique(epochs):
            chosen[epochs == epoch] = self._epoch(int(epoch))[offsets[epochs == epoch]]
        return chosen


class ShardOrder:
    """An endless sequence of epochs over samples that lie in shards, which are then read nearly from front to back.

    In every epoch the shards are shuffled, and of all samples in that order each lane takes a stretch: the place in a
    batch belongs to a lane, so that processes that share the batch read shards of their own. Along a lane samples are
    shuffled within windows. All of it follows from the seed and the position alone, whatever was read before, and every
    epoch has every sample once; memory is that of the shards and a few windows, however many samples there are.

    Args:
        counts: ``[S]``, samples in each shard.
        batch_size: samples a step, over all processes.
        seed: of the shuffling.
    """

    LANES, WINDOW = 8, 256

    def __init__(self, counts: np.ndarray, batch_size: int, seed: int) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.count, self.lanes = int(counts.sum()), gcd(batch_size, self.LANES)
        self._counts, self._starts = counts, np.cumsum(counts) - counts
        self._epoch = lru_cache(maxsize=2)(self._shuffled_shards)
        self._window = lru_cache(maxsize=4 * self.LANES)(self._shuffled_window)

    def indices(self, step: int) -> np.ndarray:
        """Indices of the samples of a step, ``[batch_size]``."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = positions // self.count
        chosen = np.empty_like(positions)
        for epoch in np.unique(epochs):
            chosen[epochs == epoch] = self._of_epoch(int(epoch), positions[epochs == epoch])
        return chosen

    def _of_epoch(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        begins, ends = self._before(epoch * self.count), self._before((epoch + 1) * self.count)
        lengths = ends - begins
        starts = np.cumsum(lengths) - lengths  # of the lanes' stretches, among the samples of the epoch
        lanes = positions % self.batch_size * self.lanes // self.batch_size
        along = self._before(positions)[np.arange(len(positions)), lanes] - begins[lanes]
        order, shard_ends = self._epoch(epoch)
        places = starts[lanes]
        for lane in np.unique(lanes):
            places[lanes == lane] += self._shuffled(epoch, int(lane), along[lanes == lane], int(lengths[lane]))
        which = np.searchsorted(shard_ends, places, side="right")
        shards = order[which]
        chosen: np.ndarray = self._starts[shards] + places - (shard_ends[which] - self._counts[shards])
        return chosen

    def _before(self, positions: "np.ndarray | int") -> np.ndarray:
        """``[..., lanes]``, how many of the positions before these are each lane's."""
        size = self.batch_size // self.lanes
        batches, places = np.divmod(np.asarray(positions)[..., None], self.batch_size)
        before: np.ndarray = batches * size + np.clip(places - size * np.arange(self.lanes), 0, size)
        return before

    def _shuffled(self, epoch: int, lane: int, along: np.ndarray, length: int) -> np.ndarray:
        """Where a lane goes when others, unshuffled, would be ``along``; lanes come to new windows one by one."""
        shift, shuffled = lane * self.WINDOW // self.lanes, np.empty_like(along)
        windows = (along + shift) // self.WINDOW
        for window in range(int(windows[0]), int(windows[-1]) + 1):
            begin, end = max(0, window * self.WINDOW - shift), min(length, (window + 1) * self.WINDOW - shift)
            inside = windows == window
            shuffled[inside] = begin + self._window(epoch, lane, window, end - begin)[along[inside] - begin]
        return shuffled

    def _shuffled_window(self, epoch: int, lane: int, window: int, size: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch, lane, window)).permutation(size)

    def _shuffled_shards(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Their order, and where each ends among the samples of the epoch."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self._counts))
        return order, np.cumsum(self._counts[order])


class Batches:
    """Micro-batches of one process, gathered one step ahead on a thread of their own.

    Args:
        dataset: where they come from.
        order: of the whole batch.
        shares: this process's slices of the whole batch, one a micro-batch.
    """

    def __init__(self, dataset: Dataset, order: Order, shares: Sequence[slice]) -> None:
        self.dataset = dataset
        self.order = order
        self.shares = shares
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._ahead: tuple[int, Future[list[Batch]]] | None = None

    def step(self, step: int) -> list[Batch]:
        """The micro-batches of a step."""
        future = self._ahead[1] if self._ahead and self._ahead[0] == step else self._thread.submit(self._gather, step)
        self._ahead = (step + 1, self._thread.submit(self._gather, step + 1))
        return future.result()

    def close(self) -> None:
        """Stop gathering."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _gather(self, step: int) -> list[Batch]:
        indices = self.order.indices(step)
        return [Batch(*self.dataset.batch(indices[share]), indices[share]) for share in self.shares]
