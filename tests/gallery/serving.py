"""`mmspec gallery` as a command, for as long as a block lasts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def served(*folders: Path) -> Iterator[tuple[str, int]]:
    """The gallery's address and the server's process id; it must end quietly when it is told to."""
    command = [sys.executable, "-m", "mmspec", "gallery", *map(str, folders), "port=0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[0], process.pid
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
