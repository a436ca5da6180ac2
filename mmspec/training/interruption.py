"""A training that is asked to stop saves first: signals are noted, and acted upon between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """A training ended early on request; its state is saved, and the same command goes on."""


class StopRequest:
    """Whether any process of a training was asked to stop.

    Args:
        accelerator: by which processes ask each other.
        every: steps between two such questions, each of which is a wait.
    """

    def __init__(self, accelerator: "Accelerator", every: int) -> None:
        self.accelerator, self.every = accelerator, every
        self._asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals in place of ending by them."""

        def note(number: int, frame: FrameType | None) -> None:
            self._asked = True

        previous = {number: signal.signal(number, note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def agreed(self, step: int) -> bool:
        """The same answer in all processes."""
        if self.accelerator.num_processes == 1:
            return self._asked
        if step % self.every:
            return False
        import torch

        asked = torch.tensor(float(self._asked), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, "sum").item())
