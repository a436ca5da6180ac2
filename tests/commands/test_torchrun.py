"""Real launches of two processes, and what who started them is told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.programs import ENVIRONMENT, ROOT

PROGRAM = """
import signal, sys, time
from pathlib import Path
def save(*_):
    Path(sys.argv[2], f"saved-{time.monotonic_ns()}").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
Path(sys.argv[2], f"up-{time.monotonic_ns()}").touch()
if sys.argv[1] != "0":
    sys.exit(int(sys.argv[1]))
time.sleep(60)
"""


def launch(folder: Path, status: int) -> subprocess.Popen[bytes]:
    (folder / "program.py").write_text(PROGRAM)
    options = ["--standalone", "--nproc-per-node", "2", str(folder / "program.py"), str(status), str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "mmspec.torchrun", *options], env=ENVIRONMENT, stderr=subprocess.PIPE
    )


def test_the_status_of_a_process_is_that_of_the_launch(tmp_path):
    process = launch(tmp_path, 75)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 75 and "exitcode: 75" in said and "Traceback" not in said


def test_a_signal_reaches_all_processes_which_save(tmp_path):
    process = launch(tmp_path, 0)
    while len(list(tmp_path.glob("up-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=60)
    assert process.returncode == 75 and len(list(tmp_path.glob("saved-*"))) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_recipe_ends_as_its_command_does(tmp_path, number):
    recipe = f"RECIPE=r; source {ROOT}/recipes/common/recipe.sh; exp={tmp_path}; history="
    script = f"{recipe}; once 2 x {tmp_path}/command; echo on"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntrap 'exit 75' TERM USR1\ntouch {tmp_path}/up\nwhile :; do sleep 0.05; done\n")
    command.chmod(0o755)
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    while not (tmp_path / "up").exists():
        time.sleep(0.02)
    os.killpg(process.pid, number)
    assert b"\non" not in process.communicate(timeout=30)[0] and process.returncode == 75
    assert not (tmp_path / "r/.done").exists()
