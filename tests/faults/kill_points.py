"""A small training, broken on purpose at each of its file operations: ``python -m tests.faults.kill_points [EVERY]``.

Python tells of each file operation before it happens (PEP 578), so that a run can be killed, or find the disk full,
between any two of them. The same command is then run again, and must end as if nothing had happened: the same files
with the same content, but for times and the log of what was said.
"""

import errno
import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed
from mmspec.training.integrity import MARKER
from tests.faults.table import Attempt, tabulate

STEPS, EVERY = 4, 2  # of the training; between its checkpoints
WORDS = [
    "train", "run_dir=run", "data.train=data", "network=unet", "network.model_channels=8", "network.channel_mult=[1]",
    "network.num_blocks=1", "network.attention_levels=[]", "trainer.batch_size=4", f"trainer.max_steps={STEPS}",
    f"trainer.checkpoint_every={EVERY}", "trainer.keep_last=1", "trainer.log_every=3", "trainer.sample_every=2",
    "trainer.device=cpu", "trainer.tensorboard=false", "preview.num=1", "preview.steps=1",
]  # fmt: skip
BY_NAME = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TIMES = ("perf/samples_per_sec", "perf/max_memory_gb")


def operations(run: Path, act: Callable[[int], None]) -> None:
    """Call ``act`` with the number of each file operation of this process in a folder, before it happens."""
    count = 0

    def hear(event: str, arguments: tuple) -> None:
        nonlocal count
        if event == "open":
            ours = isinstance(arguments[0], str | bytes) and bool(arguments[2] & WRITES)
        else:
            ours = event in BY_NAME
        if not ours:
            return
        path = Path(os.fsdecode(arguments[0]))
        by_descriptor = event in ("os.remove", "os.rmdir") and arguments[1] != -1  # of rmtree
        if by_descriptor or path.absolute().is_relative_to(run):
            count += 1
            act(count)

    sys.addaudithook(hear)


def train(
    folder: Path, act: Callable[[int], None] | None = None, words: list[str] = WORDS, kill_after: float | None = None
) -> int:
    """Run the training in a process of its own; returns its status, below 0 for a signal.

    Args:
        folder: in which it runs.
        act: is called at each file operation.
        words: of the command.
        kill_after: seconds after which it is killed, if it did not end.
    """
    if (child := os.fork()) == 0:
        os.chdir(folder)
        with (folder / "said").open("a") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        if act is not None:
            operations(folder / "run", act)
        sys.argv[1:] = words
        status = 70
        try:
            status = main(words)
        finally:
            os._exit(status)
    if kill_after is not None:
        _kill_after(child, kill_after)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill_after(child: int, seconds: float) -> None:
    """Kill a process, which stays until it is waited for, whether it has ended or not."""
    if select.select([os.pidfd_open(child)], [], [], seconds)[0] == []:
        os.kill(child, signal.SIGKILL)


def preload() -> None:
    """Import, once for all processes, what takes long."""
    for name in ("mmspec.commands.train", "torch._dynamo", "matplotlib.figure"):
        importlib.import_module(name)
    gc.freeze()


def prepared(folder: Path) -> Path:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3)).astype(np.uint8)
    statistics = {"mean": 0.0, "std": 0.4, "sigma_data": 0.4}
    write_packed(folder / "data", pixels, meta=DatasetMeta(modality="image", source="noise", statistics=statistics))
    return folder


def state(run: Path) -> dict[str, object]:
    """All that a run left, by name."""
    found: dict[str, object] = {}
    for path in sorted(run.rglob("*")):
        content: object = path.read_bytes() if path.is_file() else None
        if path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            content = [{name: value for name, value in line.items() if name not in TIMES} for line in lines]
        if path.name == "config.yaml":
            content = [line for line in path.read_text().splitlines() if "git_commit" not in line]
        found[path.relative_to(run).as_posix()] = None if path.name in (".lock", "log.txt") else content
    return found


def newest(run: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    found = sorted(path.parent.name for path in run.glob(f"checkpoints/step_*/{MARKER}"))
    return found[-1] if found else None


def kill(at: int) -> Callable[[int], None]:
    return lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == at else None


def refuse(at: int) -> Callable[[int], None]:
    def act(number: int) -> None:
        if number == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return act


def ask(at: int) -> Callable[[int], None]:
    number_of_signal = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)[at % 4]
    return lambda number: os.kill(os.getpid(), number_of_signal) if number == at else None


FAULTS = {
    "killed at a file operation": (kill, {-signal.SIGKILL}),
    "disk full at a file operation": (refuse, {0, 2}),
    "asked to stop at a file operation": (ask, {0, 75, 130}),
}


def survives(folder: Path, fault: Callable[[int], None], statuses: set[int], expected: dict[str, object]) -> str | None:
    """Break a run and start it again; returns what went wrong, or None."""
    status, run = train(folder, fault), folder / "run"
    if status not in statuses or "Traceback" in (folder / "said").read_text():
        return f"ended with {status}: {(folder / 'said').read_text()[-300:]}"
    had = newest(run)
    if (status := train(folder)) != 0:
        return f"started again it ended with {status}: {(folder / 'said').read_text()[-300:]}"
    if had is not None and f"going on from run/checkpoints/{had}" not in (run / "log.txt").read_text():
        return f"lost {had}"
    return compared(folder, expected)


def compared(folder: Path, expected: dict[str, object]) -> str | None:
    """What a run left otherwise than expected, but for previews that it said it could not draw."""
    found, said = state(folder / "run"), (folder / "said").read_text()
    told = {f"samples/step_{step:08d}.png" for step in range(STEPS) if f"no preview at step {step} (" in said}
    names = {*expected, *found} - told
    differ = sorted(name for name in names if expected.get(name, 0) != found.get(name, 0))
    return f"left other files: {', '.join(differ)}" if differ else None


def attempts(folder: Path, every: int = 1) -> Iterator[Attempt]:
    """Each fault, at which operation it came, and what went wrong or None."""
    preload()
    whole = prepared(folder / "whole")
    assert train(whole, lambda number: (folder / "count").write_text(str(number)) and None) == 0
    expected, count = state(whole / "run"), int((folder / "count").read_text())
    for name, (fault, statuses) in FAULTS.items():
        first = random.Random(name).randint(1, every)
        for at in range(first, count + 1, every):
            yield name, f"operation {at}", survives(prepared(folder / f"{name}-{at}"), fault(at), statuses, expected)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.exit(tabulate(attempts(Path(made).resolve(), *map(int, sys.argv[1:]))))
