"""``make test-faults``: one table of all faults that a run is put through, how often, and what survived."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

Attempt = tuple[str, str, str | None]  # which fault, which time, and what went wrong or None


def tabulate(attempts: Iterable[Attempt]) -> int:
    """Print the table, and before it, on stderr, how each attempt ended; returns 1 if anything went wrong."""
    tried: dict[str, list[str | None]] = {}
    for fault, which, wrong in attempts:
        tried.setdefault(fault, []).append(wrong)
        print(f"{fault}, {which}: {wrong or 'survived'}", file=sys.stderr, flush=True)
    print(f"{'fault':<58}{'tried':>6}{'survived':>10}  lost work")
    for fault, outcomes in tried.items():
        lost = sum(1 for wrong in outcomes if wrong is not None and wrong.startswith("lost"))
        said = f"{lost} times a checkpoint" if lost else "none before the last checkpoint"
        print(f"{fault:<58}{len(outcomes):>6}{outcomes.count(None):>10}  {said}")
    return int(any(wrong is not None for outcomes in tried.values() for wrong in outcomes))


def all_attempts(folder: Path) -> Iterator[Attempt]:
    from tests.faults import kill_points, random_kills, ranks

    for module in (ranks, random_kills, kill_points):  # the last leaves a hook in this process
        (folder / module.__name__).mkdir()
        yield from module.attempts(folder / module.__name__)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.exit(tabulate(all_attempts(Path(made).resolve())))
