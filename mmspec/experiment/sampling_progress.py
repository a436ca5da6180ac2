"""How far a command is that draws samples: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

SECONDS_A_LINE = 10.0


@contextmanager
def sampling_progress(total: int, what: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A function to be told how many of ``total`` are done, such as steps of a sampler; it writes to stderr."""
    console = Console(stderr=True, quiet=not shown, highlight=False)
    if console.is_terminal:
        columns = (TextColumn("sampling"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not shown) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    started = last = time.monotonic()

    def line(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_A_LINE and done:
            last = now
            left = (now - started) * (total - done) / done
            console.print(f"sampling: {done:,} of {total:,} {what}, about {left:,.0f} s to go", soft_wrap=True)

    yield line
