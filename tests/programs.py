"""Programs that tests start dozens of: they share one import of torch."""

import atexit
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmspec.cli import VERBS

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
PRELOADED = [*(f"mmspec.commands.{verb}" for verb in VERBS), "torch._dynamo", "matplotlib.figure", "data_prep.latents"]


@functools.cache
def forking():
    """A folder with an ``mmspec`` and a ``python`` that begin with torch imported (see forked.py)."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    forked, address = ROOT / "tests/forked.py", folder / "socket"
    command = [sys.executable, str(forked), "serve", str(address), *PRELOADED]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, env=ENVIRONMENT)
    atexit.register(server.communicate)  # which ends it
    run = f'exec "{BIN}/python" -SE "{forked}" run "{address}"'
    programs = {"mmspec": f'{run} -m mmspec.cli "$@"'}
    programs["python"] = f'case $1 in -m | -c) {run} "$@" ;; *) exec "{BIN}/python" "$@" ;; esac'
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    while not address.exists():
        assert server.poll() is None
        time.sleep(0.02)
    return folder


def python(*arguments, **environment):
    """A process of Python that begins with torch imported. It lives until its output ends, even if it is killed."""
    return subprocess.Popen(
        [str(part) for part in (forking() / "python", *arguments)],
        env={**ENVIRONMENT, **{name: str(value) for name, value in environment.items()}},
        stderr=subprocess.PIPE,
        text=True,
    )


def two_processes(code, *arguments):
    """Run code as both ranks of a group of processes, as ``torchrun`` would."""
    group("-c", code, *arguments, count=2)


def group(*words, count):
    """Run a program of Python as all ranks of a group of processes, as ``torchrun`` would."""
    with socket.create_server(("localhost", 0)) as found:
        meeting = {"WORLD_SIZE": count, "MASTER_ADDR": "localhost", "MASTER_PORT": found.getsockname()[1]}
    places = [{"RANK": rank, "LOCAL_RANK": rank, **meeting} for rank in range(count)] if count > 1 else [{}]
    ranks = [python(*words, **place) for place in places]
    for process in ranks:
        error = process.communicate(timeout=240)[1]
        assert process.returncode == 0, error[-2000:]
