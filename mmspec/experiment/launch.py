"""The processes of one launch (torchrun or alike), for work that they share out without gradients.

All they need of each other is a word now and then, so they talk through the launch's key-value store and set up no
process group: no network interface to choose, nothing on the GPU.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial

import torch
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from mmspec.devices import find_device
from mmspec.errors import InputError
from mmspec.experiment.heartbeat import PATIENCE, PERIOD, Heartbeat, peer_lost

REFUSED = 2  # exit status, as of other things that the machine refuses
_tasks = itertools.count()  # what a launch does one after the other; each has words of its own


@dataclass(frozen=True)
class Launch:
    """A launch, seen from one of its processes.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        store: where they leave words for each other; None for one alone.
        task: what of all that the launch does this is.
    """

    rank: int = 0
    count: int = 1
    store: Store | None = None
    task: str = ""

    @classmethod
    def current(cls) -> "Launch":
        """By the launcher's environment variables; alone without.

        Raises:
            InputError: if ``accelerate launch`` was to start several processes and, as it does on CPUs, started one.
        """
        _refuse_one_of_many()
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        (store, rank, count), task = _met(), f"task-{next(_tasks)}"
        return cls(rank, count, PrefixStore(task, store), task)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that needs all processes: each ends, with a sentence, soon after another has ended or is stopped.

        Raises:
            InputError: if another process has ended.
        """
        if self.store is None:
            yield
            return
        beats = PrefixStore(self.task, _connected(timedelta(seconds=PERIOD * PATIENCE))[0])
        agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        with Heartbeat(beats, self.rank, self.count, agent, partial(_end, self.rank)):
            try:
                yield
            except Exception as error:
                if not peer_lost(error):
                    raise
                raise InputError(
                    "another process of this launch has ended, and this one cannot go on without it: what that one "
                    "said, and torchrun's report, tell which and why."
                ) from error

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
        self._until(name)
        return bytes(self.store.get(name)).decode()

    def wait(self, name: str) -> None:
        """Until all processes have come here; ``name`` is of this place."""
        if self.store is not None:
            self.store.set(f"{name}-{self.rank}", "")
            self._until(*(f"{name}-{rank}" for rank in range(self.count)))

    def _until(self, *names: str) -> None:
        """Wait for words of others, and hear signals, which the store's own waiting does not."""
        while self.store is not None and not self.store.check(list(names)):
            time.sleep(0.1)


@cache
def _met() -> tuple[Store, int, int]:
    """The connection that a process waits at for others."""
    return _connected(timedelta(minutes=30))  # to meet, as torch's process groups have


def _connected(timeout: timedelta) -> tuple[Store, int, int]:
    """A connection to the launch's store, rank and count."""
    met: tuple[Store, int, int] = next(iter(rendezvous("env://", timeout=timeout)))
    return met


def _end(rank: int, said: str) -> None:
    """The process, whose other threads may wait for ever."""
    sys.stderr.write(f"mmspec (rank {rank}): {said}\n")
    sys.stderr.flush()
    os._exit(REFUSED)


def _refuse_one_of_many() -> None:
    """``accelerate launch --cpu --num_processes 2`` sets where processes are to meet, and starts one, with no rank."""
    by_accelerate = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    ranked = any(name in os.environ for name in ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"))
    if by_accelerate and not ranked:
        raise InputError(
            "accelerate launch starts one process on CPUs, whatever --num_processes says: start several by python -m "
            "mmspec.torchrun --standalone --nproc-per-node N --module mmspec VERB ..., or one by mmspec VERB ...."
        )
