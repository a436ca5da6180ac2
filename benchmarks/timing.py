"""Fair times on a machine that is never quite quiet: all cases in turn, again and again.

A slow moment of the machine falls on neighbours alike, so a ratio is taken within each round, and the median of
these ratios is what counts. Each round begins with another case, so that none always runs on the caches another left.
What counts is processor time, which other work leaves alone; the wall clock is read along.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

Case = Callable[[], object]
Seconds = Mapping[str, Sequence[float]]


class Times:
    """Seconds a call, one value a round for each case.

    Args:
        seconds: case -> its time in every round, by the clock that counts.
        wall: the same by the wall clock.
    """

    def __init__(self, seconds: Seconds, wall: Seconds) -> None:
        self.seconds, self.wall = seconds, wall

    def median(self, name: str) -> float:
        """Seconds of one call."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """How many times longer `slow` takes than `fast`: the median of the rounds' ratios."""
        return _ratio(self.seconds[slow], self.seconds[fast])

    def ratios(self, slow: str, fast: str) -> tuple[float, float]:
        """The same by the clock that counts, and by the wall clock."""
        return self.ratio(slow, fast), _ratio(self.wall[slow], self.wall[fast])


def interleave(
    cases: Mapping[str, Case],
    rounds: int = 15,
    warmup: int = 1,
    at_least: float = 2e-3,
    clock: Callable[[], float] | None = None,
) -> Times:
    """Time cases in turn.

    Args:
        cases: name -> a function of no arguments.
        rounds: how often each is timed.
        warmup: calls of each, beside the one that says how often to repeat it, before the first round.
        at_least: seconds; within a round, a call that is shorter is repeated for about so long.
        clock: seconds; None for those of the processor, which a busy machine leaves alone, or where tensors are made
            on a GPU, those of the wall until it has done its work.
    """
    if clock is None:
        clock = time.process_time if torch.get_default_device().type == "cpu" else _when_done
    repeats = {}
    for name, case in cases.items():
        for _ in range(warmup):
            case()
        repeats[name] = max(1, round(at_least / max(_seconds(case, 1, clock)[0], 1e-9)))
    names = list(cases)
    seconds, wall = ({name: list[float]() for name in names} for _ in range(2))
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            first = i % len(names)
            for name in names[first:] + names[:first]:
                counted, passed = _seconds(cases[name], repeats[name], clock)
                seconds[name].append(counted)
                wall[name].append(passed)
    finally:
        if collecting:
            gc.enable()
    return Times(seconds, wall)


def _when_done() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def _seconds(case: Case, repeats: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Of a call, by the clock that counts and by the wall clock."""
    start, begun = clock(), time.perf_counter()
    for _ in range(repeats):
        case()
    return (clock() - start) / repeats, (time.perf_counter() - begun) / repeats


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with columns of even width."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
