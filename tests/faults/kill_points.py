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
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed
from mmspec.training.integrity import MARKER

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


def train(folder: Path, act: Callable[[int], None]) -> int:
    """Run the training in a process of its own; returns its status, below 0 for a signal."""
    if (child := os.fork()) == 0:
        os.chdir(folder)
        with (folder / "said").open("a") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        operations(folder / "run", act)
        sys.argv[1:] = WORDS
        status = 70
        try:
            status = main(WORDS)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
    if (status := train(folder, lambda _: None)) != 0:
        return f"started again it ended with {status}: {(folder / 'said').read_text()[-300:]}"
    if had is not None and f"going on from run/checkpoints/{had}" not in (run / "log.txt").read_text():
        return f"lost {had}"
    found = state(run)
    said = (folder / "said").read_text()
    told = {f"samples/step_{step:08d}.png" for step in range(STEPS) if f"no preview at step {step} (" in said}
    differ = [
        name for name in {**expected, **found} if expected.get(name, 0) != found.get(name, 0) and name not in told
    ]
    return f"left other files: {', '.join(sorted(differ))}" if differ else None


def attempts(folder: Path, every: int) -> Iterator[tuple[str, int, str | None]]:
    """Each fault, at which operation it came, and what went wrong or None."""
    for name in ("mmspec.commands.train", "torch._dynamo", "matplotlib.figure"):  # once, for all processes
        importlib.import_module(name)
    gc.freeze()
    whole = prepared(folder / "whole")
    assert train(whole, lambda number: (folder / "count").write_text(str(number)) and None) == 0
    expected, count = state(whole / "run"), int((folder / "count").read_text())
    for name, (fault, statuses) in FAULTS.items():
        first = random.Random(name).randint(1, every)
        for at in range(first, count + 1, every):
            yield name, at, survives(prepared(folder / f"{name}-{at}"), fault(at), statuses, expected)


def table(every: int) -> int:
    """Print what survived; returns 1 unless all did."""
    tried: dict[str, list[str | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, at, wrong in attempts(Path(folder).resolve(), every):
            tried.setdefault(name, []).append(wrong)
            if wrong is not None:
                print(f"{name} {at}: {wrong}", flush=True)
    print(f"{'fault':<36}{'tried':>6}{'survived':>10}  lost work")
    for name, outcomes in tried.items():
        lost = sum(1 for wrong in outcomes if wrong is not None and wrong.startswith("lost"))
        said = f"{lost} times a checkpoint" if lost else "none before the last checkpoint"
        print(f"{name:<36}{len(outcomes):>6}{outcomes.count(None):>10}  {said}")
    return int(any(wrong is not None for outcomes in tried.values() for wrong in outcomes))


if __name__ == "__main__":
    sys.exit(table(int(sys.argv[1]) if sys.argv[1:] else 1))
