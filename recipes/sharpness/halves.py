"""Held-out crops in two halves, no photograph in both: one to calibrate corrections on, one to verify them on."""

import argparse
import sys
from pathlib import Path

import numpy as np

from data_prep.preparation import run
from mmspec.data import PackedDataset
from mmspec.data.packed import write_part


def main(arguments: list[str] | None = None) -> int:
    """Write OUT/calibrating and OUT/verifying; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.sharpness.halves", description=__doc__)
    parser.add_argument("test", type=Path, metavar="TEST", help="crops that data_prep.crops made")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="crops a photograph")
    options = parser.parse_args(arguments)
    return run(lambda: _write(options.test, options.out, options.count))


def _write(test: Path, out: Path, count: int) -> str:
    dataset = PackedDataset(test)
    middle = len(dataset) // count // 2 * count  # crops are in the order of their photographs' names
    for name, rows in (("calibrating", range(middle)), ("verifying", range(middle, len(dataset)))):
        write_part(out / name, dataset, np.array(rows))
    return f"{out}: {middle} to calibrate on, {len(dataset) - middle} to verify on"


if __name__ == "__main__":
    sys.exit(main())
