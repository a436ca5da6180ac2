"""Runs of one arm against those of another, seed by seed: the table of their paired differences, with intervals."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from data_prep.preparation import run
from mmspec.documents import read_json
from mmspec.drawing.tables import TextTable, markdown
from mmspec.errors import InputError
from mmspec.files import replace_text
from mmspec.metrics.statistics import paired_difference
from mmspec.report.runs import MetricsFile

HEADINGS = ["arm", "against", "measure", "difference", "95%", "sign test p", "could be seen", "seeds"]


def main(arguments: list[str] | None = None) -> int:
    """Write the table; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.common.paired", description=__doc__)
    parser.add_argument("runs", type=Path, metavar="FOLDER", help="of runs ARM-SEED, each with its evaluation.json")
    parser.add_argument("out", type=Path, metavar="FILE", help="the table, in Markdown")
    parser.add_argument("--pairs", nargs="+", required=True, metavar="ARM:OTHER")
    parser.add_argument("--metrics", nargs="+", required=True, metavar="NAME")
    options = parser.parse_args(arguments)
    return run(lambda: pair(options.runs, options.out, options.pairs, options.metrics))


def pair(folder: Path, out: Path, pairs: Sequence[str], metrics: Sequence[str]) -> str:
    """Write the table of the pairs that have two seeds or more in common; returns a line on it.

    Raises:
        InputError: if an evaluation lacks a metric.
    """
    rows, notes = [], []
    for arm, other in (each.split(":") for each in pairs):
        treated, untreated = _seeds(folder, arm), _seeds(folder, other)
        seeds = sorted(treated.keys() & untreated.keys())
        if len(seeds) < 2:
            notes.append(f"{arm} against {other}: fewer than 2 seeds, so no interval.")
            continue
        for name in metrics:
            values = [_metric(treated[seed], name) - _metric(untreated[seed], name) for seed in seeds]
            rows.append([arm, other, name, *_judged(values)])
    replace_text(out, markdown(TextTable("Paired by seed", HEADINGS, rows), notes))
    return str(out)


def _seeds(folder: Path, arm: str) -> dict[int, Path]:
    files = {file.parent.name.removeprefix(f"{arm}-"): file for file in folder.glob(f"{arm}-*/evaluation.json")}
    return {int(seed): file for seed, file in files.items() if seed.isdigit()}


def _metric(file: Path, name: str) -> float:
    metrics = read_json(file, MetricsFile)["metrics"]
    if name not in metrics:
        raise InputError(f"{file} has no {name}: its metrics are {', '.join(metrics)}.")
    return metrics[name]


def _judged(values: Sequence[float]) -> list[str]:
    found = paired_difference(torch.tensor(values, dtype=torch.float64))
    low, high = found.interval.low, found.interval.high
    interval = f"[{low:+.2f}, {high:+.2f}]"
    return [f"{found.mean:+.2f}", interval, f"{found.sign_p:.3f}", f"{found.detectable:.2f}", f"{found.seeds}"]


if __name__ == "__main__":
    sys.exit(main())
