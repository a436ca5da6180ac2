"""torchrun whose exit status is its processes' own: ``python -m mmspec.torchrun OPTIONS --module mmspec VERB ...``.

torchrun ends with 1 whatever its processes ended with, so that who started it cannot know that a training was saved and
wants to go on; SIGUSR1 and SIGUSR2 end it alone, and leave its processes behind.
"""

import os
import signal
import sys
from collections.abc import Sequence

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from mmspec.cli import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run torchrun; returns the status of the process that ended first, and 75 after a signal to stop."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # torchrun hands on those that it knows
        signal.signal(number, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        run.main(arguments)
    except SignalException:  # the processes had theirs, and time to save
        return INTERRUPTED
    except ChildFailedError as error:
        _, failure = error.get_first_failure()  # which torchrun's log names
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main())
