"""A training that is asked to stop saves first: signals are noted, and acted upon between two steps."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch import distributed

from mmspec.interruption import asked_to_stop
from mmspec.training.late import HostCopy

SLOW = 1.0  # seconds of a step, from which on its own answer is waited for: torchrun gives processes 30 to end


class StopRequest:
    """Whether any process of a training was asked to stop.

    Processes tell each other after every step, and read what was told a step later, so that none waits for it; steps
    that take long are not gone through once more for that.

    Args:
        device: by which they tell each other.
        together: whether there are several.
    """

    def __init__(self, device: torch.device, together: bool) -> None:
        self._device, self._together = device, together
        self._asked, self._slow = False, False
        self._since = time.monotonic()
        self._told: deque[_Answer] = deque()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals in place of ending by them."""

        def note(number: int, frame: FrameType | None) -> None:
            self._asked = True

        with asked_to_stop(note):
            yield

    def agreed(self) -> bool:
        """The same answer in all processes, after every step."""
        if not self._together:
            return self._asked
        now = time.monotonic()
        self._told.append(_Answer(self._asked, now - self._since, self._device))
        self._since, stop = now, False
        while len(self._told) > (0 if self._slow else 1):  # as long in all processes
            asked, seconds = self._told.popleft().read()
            self._slow = seconds > SLOW
            stop = stop or bool(asked)
        return stop


class _Answer:
    """Whether any process was asked to stop, and how long the slowest took for a step."""

    def __init__(self, asked: bool, seconds: float, device: torch.device) -> None:
        self._values = torch.full((2,), float(asked), device=device)  # filled there, so that no host waits
        self._values[1].fill_(seconds)
        self._work = distributed.all_reduce(self._values, distributed.ReduceOp.MAX, async_op=True)
        self._copy = self._copied() if device.type == "cuda" else None

    def _copied(self) -> HostCopy:
        self._work.wait()  # the device does, not the host
        return HostCopy(self._values)

    def read(self) -> list[float]:
        if self._copy is None:
            self._work.wait()
            self._copy = HostCopy(self._values)
        return self._copy.read()
