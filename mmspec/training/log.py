"""Where a run tells how it goes: progress bar, log.txt, metrics.jsonl and trackers."""

import io
import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from mmspec.documents import parse_json
from mmspec.files import append, replacing
from mmspec.training.trackers import show

SECONDS_A_LINE = 30.0  # where there is no terminal with a bar
_SHOWN = ("train/loss", "train/grad_norm", "perf/samples_per_sec")


class _StandardError(io.TextIOBase):
    """Standard error, where what cannot be written is dropped: its reader may leave, its terminal or disk fail."""

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class RunLog:
    """Writes on the main process only, and ends no training: a tracker that fails is dropped with a word, and lines
    that a file does not take wait until it does.

    Args:
        folder: of the run.
        accelerator: its trackers receive all scalars.
        total: steps of the run.
        step: where it starts; lines of metrics.jsonl after this step, left by a run that was cut off, are removed.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, total: int, step: int) -> None:
        self.folder = folder
        self.accelerator = accelerator
        self.active = accelerator.is_main_process
        self._total = total
        self._spoke = time.monotonic()
        self._trackers_work = True
        self._waiting: dict[str, list[str]] = {"log.txt": [], "metrics.jsonl": []}
        self._console = Console(file=cast(TextIO, _StandardError()), quiet=not self.active, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            console=self._console,
            disable=not (self.active and sys.stderr.isatty()),
        )
        self._task = self._progress.add_task(folder.name, total=total, completed=step, values="")
        if self.active:
            folder.mkdir(parents=True, exist_ok=True)
            _drop_lines_after(folder / "metrics.jsonl", step)

    def __enter__(self) -> "RunLog":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()
        if error is not None and self.active:
            self._append("log.txt", f"{_now()} ended by {type(error).__name__}: {error}")
        for name in [name for name, waiting in self._waiting.items() if waiting]:
            self._write(name)
        self.track(self._finish_trackers)

    def advance(self, step: int) -> None:
        """Move the progress bar; where there is none, a line now and then."""
        self._progress.update(self._task, completed=step)
        if self._progress.disable and time.monotonic() - self._spoke >= SECONDS_A_LINE:
            self._print(f"{self.folder.name}: {step:,} of {self._total:,} steps")

    def say(self, message: str) -> None:
        """One line to the console and log.txt."""
        if self.active:
            self._print(message)
            self._append("log.txt", f"{_now()} {message}")

    def scalars(self, step: int, nimg: int, values: Mapping[str, float]) -> None:
        """One line to metrics.jsonl, and the values to the trackers."""
        if not self.active:
            return
        self._append("metrics.jsonl", json.dumps({"step": step, "nimg": nimg, **values}))
        shown = "  ".join(f"{name.split('/')[-1]} {values[name]:.4g}" for name in _SHOWN if name in values)
        self._progress.update(self._task, values=shown)
        if self._progress.disable:
            self._print(f"{self.folder.name} step {step}: {shown}")
        self._append("log.txt", f"{_now()} step {step}: {shown}")
        self.track(lambda: self.accelerator.log(dict(values), step=step))

    def show(self, step: int, picture: Path, samples: Tensor, sample_rate: int | None) -> None:
        """Samples ``[N, C, *spatial]`` of a step, with a picture of them, to the trackers."""
        for tracker in self.accelerator.trackers:
            self.track(lambda tracker=tracker: show(tracker, step, picture, samples, sample_rate))

    def track(self, action: Any) -> None:
        """Do something with trackers, unless one has failed."""
        if not self._trackers_work:
            return
        try:
            action()
        except Exception as error:  # whatever a tracker raises must not end a training run
            self._trackers_work = False
            self.say(f"tracking stopped, training goes on: {type(error).__name__}: {error}")

    def _finish_trackers(self) -> None:
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def _print(self, message: str) -> None:
        self._spoke = time.monotonic()
        with suppress(OSError):  # of a terminal that was closed, or a full disk behind it
            self._console.print(message, soft_wrap=True, markup=False)

    def _append(self, name: str, line: str) -> None:
        self._waiting[name].append(f"{line}\n")
        self._write(name)

    def _write(self, name: str) -> None:
        waiting = self._waiting[name]
        try:
            append(self.folder / name, "".join(waiting))
        except OSError as error:
            if len(waiting) == 1:  # said once
                said = f"{name} takes no lines now ({error.strerror}): training goes on, they are kept and tried again"
                self._print(said)
        else:
            waiting.clear()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _drop_lines_after(file: Path, step: int) -> None:
    if not file.exists():
        return
    lines = file.read_bytes().splitlines(keepends=True)
    stay = [line for line in lines if _stays(line, step)]
    if stay != lines:
        with replacing(file) as beside:
            beside.write_bytes(b"".join(stay))


def _stays(line: bytes, step: int) -> bool:
    """Lines up to a step, and whole ones that are not ours; not the half line of a run that was killed meanwhile."""
    try:
        entry = parse_json(line)
    except ValueError:
        return line.endswith(b"\n")
    at = entry.get("step") if isinstance(entry, dict) else None
    return not isinstance(at, int) or at <= step
