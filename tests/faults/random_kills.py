"""Trainings that are killed at random times until they end: ``python -m tests.faults.random_kills [KILLS]``."""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.kill_points import WORDS, compared, newest, preload, prepared, state, train
from tests.faults.table import Attempt, tabulate

KILLS, SEED = 50, 0
LONGER = [*WORDS, "trainer.max_steps=30", "trainer.sample_every=10"]  # for several kills in one run


def attempts(folder: Path, kills: int = KILLS) -> Iterator[Attempt]:
    """Each kill, and what was wrong with the run that it came to."""
    preload()
    whole, draw, done = prepared(folder / "whole"), random.Random(SEED), 0
    begun = time.monotonic()
    assert train(whole, words=LONGER) == 0
    seconds, expected = time.monotonic() - begun, state(whole / "run")
    while done < kills:
        run = prepared(folder / f"run-{done}")
        killed, wrong = _killed(run, draw, seconds / 2, kills - done)
        wrong = wrong or compared(run, expected)
        for kill in range(done, done + killed):
            yield "killed at a random time", f"kill {kill}", wrong
        done += killed


def _killed(run: Path, draw: random.Random, within: float, kills: int) -> tuple[int, str | None]:
    """Kill a training up to so many times, and let it end; returns how often, and what went wrong."""
    for killed in range(kills + 1):
        had, said = newest(run / "run"), len(_resumed(run))
        status = train(run, words=LONGER, kill_after=draw.uniform(0, within) if killed < kills else None)
        resumed = _resumed(run)[said:]
        if had is not None and (resumed or status == 0) and resumed != [had]:
            return killed + 1, f"lost {had}"
        if status != -9:
            break
    return killed, f"ended with {status}: {(run / 'said').read_text()[-300:]}" if status else None


def _resumed(run: Path) -> list[str]:
    """The checkpoints that a run went on from."""
    log = run / "run" / "log.txt"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line.rpartition("/")[2] for line in lines if "going on from" in line]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.exit(tabulate(attempts(Path(made).resolve(), *map(int, sys.argv[1:]))))
