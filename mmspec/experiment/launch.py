"""The processes of one launch (torchrun or alike), for work that they share out without gradients.

All they need of each other is a word now and then, so they talk through the launch's key-value store and set up no
process group: no network interface to choose, nothing on the GPU.
"""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import torch
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from mmspec.devices import find_device
from mmspec.errors import InputError

PATIENCE = timedelta(days=7)  # for slower processes; who waits for one that failed is ended by the launcher
_tasks = itertools.count()  # what a launch does one after the other; each has words of its own


@dataclass(frozen=True)
class Launch:
    """A launch, seen from one of its processes.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        store: where they leave words for each other; None for one alone.
    """

    rank: int = 0
    count: int = 1
    store: Store | None = None

    @classmethod
    def current(cls) -> "Launch":
        """By the launcher's environment variables; alone without."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        store, rank, count = _met()
        return cls(rank, count, PrefixStore(f"task-{next(_tasks)}", store))

    @property
    def first(self) -> bool:
        """Whether this is process 0, which does what only one can do."""
        return self.rank == 0

    def device(self, wanted: str) -> torch.device:
        """The device of a name, of which "auto" is the GPU of this process where there are any.

        Raises:
            InputError: as `find_device`, or if there are more processes on this machine than GPUs.
        """
        if (found := find_device(wanted)).type != "cuda":
            return found
        gpus = torch.cuda.device_count()
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if local_rank >= gpus:
            raise InputError(f"this machine has {gpus} GPU(s), too few for so many processes: start one for each GPU.")
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)

    def share(self, num: int) -> range:
        """Which of ``num`` things this process does: neighbours, and as many as every other process, or one more."""
        return range(num * self.rank // self.count, num * (self.rank + 1) // self.count)

    def agree(self, name: str, value: Callable[[], str]) -> str:
        """What process 0 calls ``name``, in every process; the others wait for it."""
        if self.store is None:
            return value()
        if self.first:
            self.store.set(name, value())
        return bytes(self.store.get(name)).decode()

    def wait(self, name: str) -> None:
        """Until all processes have come here; ``name`` is of this place."""
        if self.store is not None:
            self.store.set(f"{name}-{self.rank}", "")
            self.store.wait([f"{name}-{rank}" for rank in range(self.count)], PATIENCE)


@cache
def _met() -> tuple[Store, int, int]:
    """Store, rank and count of the launch."""
    met: tuple[Store, int, int] = next(iter(rendezvous("env://", timeout=PATIENCE)))
    return met
