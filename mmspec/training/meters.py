"""Sums of training scalars that stay on the device until they are logged."""

from itertools import pairwise
from typing import TypedDict

import torch
from torch import Tensor, distributed

# Half-decades of sigma from 0.001 to 1000; what lies outside counts in the first or last.
_EDGES = [0.001, 0.0032, 0.01, 0.032, 0.1, 0.32, 1, 3.2, 10, 32, 100, 320, 1000]
BUCKETS = [f"{low:g}-{high:g}" for low, high in pairwise(_EDGES)]


class MetersState(TypedDict):
    """What was counted and not read yet."""

    sums: dict[str, float]
    counts: dict[str, int]
    bucket_sums: list[float]
    bucket_counts: list[float]


class Meters:
    """Means of named values since they were last read, over all processes, which count the same names.

    Args:
        device: where the values are.
        rank, count: number of this process, from 0, and how many there are.
    """

    def __init__(self, device: torch.device, rank: int = 0, count: int = 1) -> None:
        self._device, self._rank, self._count = device, rank, count
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._bucket_sums = torch.zeros(len(BUCKETS), device=self._device)
        self._bucket_counts = torch.zeros(len(BUCKETS), device=self._device)

    def add(self, name: str, values: Tensor) -> None:
        """Count values of any shape, detached."""
        total = values.detach().float().sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts.get(name, 0) + values.numel()

    def add_by_sigma(self, sigma: Tensor, values: Tensor) -> None:
        """Count values ``[B]`` by their noise level ``[B]``."""
        bucket = ((sigma.log10() * 2).floor().long() + 6).clamp(0, len(BUCKETS) - 1)
        self._bucket_sums.index_add_(0, bucket, values.detach().float())
        self._bucket_counts.index_add_(0, bucket, torch.ones_like(sigma, dtype=torch.float32))

    def gather(self) -> None:
        """Leave to process 0 what all have counted. All call it; nothing where there is one alone."""
        if self._count == 1 or not self._counts:
            return
        names = sorted(self._counts)
        counts = torch.tensor([float(self._counts[name]) for name in names], device=self._device)
        sums = torch.stack([self._sums[name] for name in names])
        values = torch.cat([sums, counts, self._bucket_sums, self._bucket_counts])
        distributed.all_reduce(values)
        self.reset()
        if self._rank == 0:
            parts = [len(names), len(names), len(BUCKETS), len(BUCKETS)]
            sums, counted, *buckets = torch.split(values, parts)
            self._sums = dict(zip(names, sums.unbind(), strict=True))
            self._counts = dict(zip(names, map(int, counted.tolist()), strict=True))
            self._bucket_sums, self._bucket_counts = buckets

    def state(self) -> MetersState:
        """What was counted since the last reading, exactly. Waits for the device."""
        return {
            "sums": {name: total.item() for name, total in self._sums.items()},
            "counts": dict(self._counts),
            "bucket_sums": self._bucket_sums.tolist(),
            "bucket_counts": self._bucket_counts.tolist(),
        }

    def restore(self, state: MetersState) -> None:
        """Go on, in process 0, from what `state` gave there."""
        if self._rank:
            return
        self._sums = {name: torch.tensor(total, device=self._device) for name, total in state["sums"].items()}
        self._counts = dict(state["counts"])
        self._bucket_sums = torch.tensor(state["bucket_sums"], device=self._device)
        self._bucket_counts = torch.tensor(state["bucket_counts"], device=self._device)

    def read(self) -> tuple[dict[str, float], dict[str, float]]:
        """The means by name, and by noise level where there were any, in process 0; forgets them. All processes call
        it, and it waits for the device.
        """
        self.gather()
        names = sorted(self._sums)
        if not names:
            return {}, {}
        means = [self._sums[name] / self._counts[name] for name in names]
        values = torch.cat([torch.stack(means), self._bucket_sums, self._bucket_counts]).tolist()
        self.reset()
        k = len(BUCKETS)
        sums, counts = values[-2 * k : -k], values[-k:]
        by_sigma = {BUCKETS[i]: sums[i] / counts[i] for i in range(k) if counts[i]}
        return dict(zip(names, values, strict=False)), by_sigma
