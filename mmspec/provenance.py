"""What produced a result: command, versions, machine and git commit."""

import os
import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict


class Provenance(TypedDict, total=False):
    """What is read of it in a file."""

    command: str
    versions: dict[str, str]
    machine: str
    git_commit: str | None


PACKAGES = ("mmspec", "torch", "numpy", "accelerate")


def provenance() -> dict[str, Any]:
    """``command``, ``versions``, ``machine`` and ``git_commit`` of this process."""
    return {
        "command": shlex.join(["mmspec", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": machine(),
        "git_commit": _git_commit(),
    }


def _versions() -> dict[str, str]:
    """Of the packages that are there: what was exported runs without torch."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine() -> str:
    """System, processor and cores."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _git_commit() -> str | None:
    command = ["git", "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:  # a machine without git
        return None
    return result.stdout.strip() or None
