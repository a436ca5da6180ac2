"""Being asked to stop: the signals by which users, terminals and schedulers ask, and how work ends that will go on."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

# SIGHUP: a terminal that closes. SIGUSR1, SIGUSR2: schedulers, ahead of the end (sbatch --signal, qsub -notify).
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Interrupted(Exception):
    """Work ended early on request; what is done is saved, and the same command goes on."""


@contextmanager
def asked_to_stop(act: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have the signals do something else than end the process; what is ignored, as by nohup, stays so."""
    heard = [
        number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)
    ]  # None: not Python's
    previous = {number: signal.signal(number, act) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def kept(folder: Path | None, what: str) -> Iterator[None]:
    """Work of which parts stay in a folder: a signal to stop is an Interrupted once that is there.

    Args:
        folder: that keeps them; None where nothing is kept.
        what: stays, in words.

    Raises:
        Interrupted: after a signal to stop.
    """
    try:
        yield
    except KeyboardInterrupt:
        if folder is None or not folder.exists():
            raise
        raise Interrupted(f"interrupted, {what} is kept: run the same command again to go on.") from None


def hear_no_more() -> None:
    """Let no signal to stop change how a process ends whose work is done."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
