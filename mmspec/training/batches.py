"""Which samples a training step sees: a function of seed and step alone."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol

import numpy as np
from torch import Tensor

from mmspec.diffusion.conditions import Batch


class Dataset(Protocol):
    """What training needs of a dataset; see `mmspec.data.PackedDataset`."""

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """``[B, C, *spatial]`` float32 in [-1, 1], and int64 labels ``[B]`` or None."""
        ...


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


class Batches:
    """Micro-batches of one process, gathered one step ahead on a thread of their own.

    Args:
        dataset: where they come from.
        order: of the whole batch.
        shares: this process's slices of the whole batch, one a micro-batch.
    """

    def __init__(self, dataset: Dataset, order: SampleOrder, shares: Sequence[slice]) -> None:
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
