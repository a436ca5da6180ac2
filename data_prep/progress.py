"""How far a preparation is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

SECONDS_A_LINE = 5.0


class Report(Protocol):
    """Says how many of the ``total`` bytes are done."""

    def __call__(self, done: int, kept: int, rejected: int) -> None: ...


@contextmanager
def progress(title: str, total: int) -> Iterator[Report]:
    """A function to be called after every file; it writes to stderr."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        counts = TextColumn("{task.fields[kept]:,} kept, {task.fields[rejected]:,} rejected")
        with Progress(*columns, counts, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=max(1, total), kept=0, rejected=0)
            yield lambda done, kept, rejected: bar.update(task, completed=done, kept=kept, rejected=rejected)
    else:
        last = time.monotonic()

        def line(done: int, kept: int, rejected: int) -> None:
            nonlocal last
            if time.monotonic() - last >= SECONDS_A_LINE:
                last = time.monotonic()
                share = 100 * done // max(1, total)
                print(f"{title}: {share}%, {kept:,} kept, {rejected:,} rejected", file=sys.stderr, flush=True)

        yield line
