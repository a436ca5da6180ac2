"""Fair times on a machine that is never quite quiet: all cases in turn, again and again.

A slow moment of the machine falls on neighbours alike, so a ratio is taken within each round, and the median of
these ratios is what counts. Each round begins with another case, so that none always runs on the caches another left.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Case = Callable[[], object]


class Times:
    """Seconds a call, one value a round for each case.

    Args:
        seconds: case -> its time in every round.
    """

    def __init__(self, seconds: Mapping[str, Sequence[float]]) -> None:
        self.seconds = seconds

    def median(self, name: str) -> float:
        """Seconds of one call."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """How many times longer `slow` takes than `fast`: the median of the rounds' ratios."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)


def interleave(
    cases: Mapping[str, Case],
    rounds: int = 15,
    warmup: int = 3,
    at_least: float = 2e-3,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Time cases in turn.

    Args:
        cases: name -> a function of no arguments.
        rounds: how often each is timed.
        warmup: calls of each before the first round.
        at_least: seconds; within a round, a call that is shorter is repeated for about so long.
        clock: seconds of the wall, or ``time.process_time`` of the processor, which a busy machine leaves alone.
    """
    repeats = {}
    for name, case in cases.items():
        for _ in range(warmup):
            case()
        repeats[name] = max(1, round(at_least / max(_seconds(case, 1, clock), 1e-9)))
    names = list(cases)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            first = i % len(names)
            for name in names[first:] + names[:first]:
                seconds[name].append(_seconds(cases[name], repeats[name], clock))
    finally:
        if collecting:
            gc.enable()
    return Times(seconds)


def _seconds(case: Case, repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        case()
    return (clock() - start) / repeats


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with columns of even width."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
