"""Recipes run as a user runs them, and killed."""

import os
import re
import signal
import subprocess

from tests.programs import BIN, ENVIRONMENT, ROOT, forking


def start(name, *arguments, cwd, programs=None):
    path = os.pathsep.join(map(str, [programs or forking(), BIN, os.environ["PATH"]]))
    environment = {**ENVIRONMENT, "PATH": path}
    command = [str(ROOT / f"recipes/{name}/run.sh"), *map(str, arguments)]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True, **piped)


def run(name, *arguments, cwd, programs=None):
    """Exit status, output and errors of a recipe, with the programs of a folder, or some that begin sooner."""
    process = start(name, *arguments, cwd=cwd, programs=programs)
    out, error = process.communicate()
    return process.returncode, out, error


def kill_in_each_stage(name, *arguments, cwd):
    """Start a recipe again and again, and kill it as soon as it says that it has begun stage 1, 2, ..., 5."""
    killed = []
    for stage in range(1, 6):
        process = start(name, *arguments, cwd=cwd)
        for line in process.stdout:
            if re.match(rf"stage {stage}, (?!.*skipped)", line):
                os.killpg(process.pid, signal.SIGKILL)
                killed.append(stage)
                break
        process.communicate()
    return killed
