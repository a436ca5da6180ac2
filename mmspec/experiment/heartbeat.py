"""Signs of life of the processes of a launch, so that one that is stopped is named while the others wait for it.

A process that waits for another, in a collective or at the store, learns nothing of it. So a thread of each gives a
sign of life every second, and listens to that of the next process. It counts its own seconds: where all are stopped
together, as by Ctrl-Z, none is missed.
"""

import os
import signal
import threading
from collections.abc import Callable

from torch.distributed import Store  # type: ignore[attr-defined]

PERIOD = 1.0  # seconds between two signs
PATIENCE = 30  # periods without one
ENDED = "ended"


class Heartbeat(threading.Thread):
    """Gives signs of life in a block, and ends the process, which cannot be woken, if those of its neighbour fail.

    Args:
        store: of the launch; a connection of its own, as others wait at theirs.
        rank, count: number of this process, from 0, and how many there are.
        launcher: whether the store is a launcher's own: where it cannot be reached the launcher is gone, and the
            process is asked to stop, or nobody would.
        lost: is told what to say, and ends the process.
    """

    def __init__(self, store: Store, rank: int, count: int, launcher: bool, lost: Callable[[str], None]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._store, self._launcher, self._lost = store, launcher, lost
        self._mine, self._next = f"alive-{rank}", (rank + 1) % count
        self._over = threading.Event()
        self._heard, self._missed = "", 0

    def __enter__(self) -> "Heartbeat":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(PERIOD)

    def run(self) -> None:
        """Until the block ends."""
        beats = 0
        try:
            while not self._over.wait(PERIOD):
                beats += 1
                self._store.set(self._mine, str(beats))
                self._listen()
            self._store.set(self._mine, ENDED)
        except RuntimeError:  # of a store that is gone
            if self._launcher and not self._over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    def _listen(self) -> None:
        key = f"alive-{self._next}"
        if not self._store.check([key]):
            return
        heard = bytes(self._store.get(key)).decode()
        self._missed = self._missed + 1 if heard == self._heard != ENDED else 0
        self._heard = heard
        if self._missed == PATIENCE:
            self._lost(
                f"rank {self._next} has given no sign of life for {PATIENCE * PERIOD:.0f} s: it is stopped, or its "
                "machine cannot be reached; start again to go on from the last checkpoint."
            )


def peer_lost(error: BaseException) -> bool:
    """Whether an error is torch's, of another process that is gone."""
    named = type(error).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError")
    return named or (isinstance(error, RuntimeError) and "gloo/transport" in str(error))
