"""A training that is asked to stop saves first: signals are noted, and acted upon between two steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

from mmspec.interruption import asked_to_stop

EVERY = 2.0  # seconds between two questions of processes to each other; torchrun gives them 30 to end


class StopRequest:
    """Whether any process of a training was asked to stop.

    Args:
        accelerator: by which processes ask each other, every few seconds, as each question is a wait.
    """

    def __init__(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        self._asked = False
        self._last, self._next, self._since = 0, 0, time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals in place of ending by them."""

        def note(number: int, frame: FrameType | None) -> None:
            self._asked = True

        with asked_to_stop(note):
            yield

    def agreed(self, step: int) -> bool:
        """The same answer in all processes, after every step."""
        if self.accelerator.num_processes == 1:
            return self._asked
        if step < self._next:
            return False
        import torch

        now = time.monotonic()
        mine = torch.tensor([float(self._asked), now - self._since], device=self.accelerator.device)
        asked, seconds = self.accelerator.reduce(mine, "mean").tolist()
        steps = int(EVERY * (step - self._last) / max(seconds, 1e-6))  # that take so long: the same for all
        self._last, self._next, self._since = step, step + max(1, min(steps, 1000)), now
        return bool(asked)
