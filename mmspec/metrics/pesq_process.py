"""PESQ in a process of its own, which its native code can end without ending an evaluation."""

import math
import os
import pickle
import subprocess
import sys
from typing import Any


class PESQProcess:
    """Scores one pair of clips after the other; a pair that ends the process has no score, and the next begins another.

    To be used in a ``with`` block, which ends the process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "PESQProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def score(self, *arguments: Any) -> float:
        """``pesq.pesq(*arguments)``; NaN where it raises.

        Raises:
            ChildProcessError: if it crashes.
        """
        if self._process is None:
            command = [sys.executable, "-P", "-W", "ignore", __file__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            pickle.dump(arguments, self._process.stdin)
            self._process.stdin.flush()
            return float(pickle.load(self._process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError):
            self._end()
            raise ChildProcessError("PESQ crashed.") from None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _serve() -> None:
    """Scores, for the clips that come by the standard input, to the standard output."""
    from pesq import pesq

    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what native code prints
        while True:
            try:
                arguments = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                score = float(pesq(*arguments))
            except Exception:  # whatever is odd about a pair
                score = math.nan
            pickle.dump(score, answers)
            answers.flush()


if __name__ == "__main__":
    _serve()
