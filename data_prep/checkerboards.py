"""Checkerboards -> a packed data set that needs no download, with a spectrum that is known to be hard.

The toy of "Spectral Regularization for Diffusion Models" (figures 1 and 2): grey pictures of 64x64. The board of black
and white squares begins at a place drawn anywhere. As 7 does not divide 64, sharp edges put energy at all frequencies,
which a denoiser that smooths them loses.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from data_prep.options import add_output_option, whole_number
from data_prep.packing import Plan, pack
from data_prep.preparation import run
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN, first_folder

SEEDS = {TRAIN: 0, TEST: 1}


def checkerboards(size: int, side: int, counts: dict[str, int]) -> Iterator[tuple[str, Sample]]:
    """Checkerboards at random places, so many of "train" and of "test"."""
    at = np.arange(size)
    for part, count in counts.items():
        draw = np.random.default_rng(SEEDS[part])
        for index in range(count):
            top, left = draw.integers(0, 2 * side, 2)
            white = ((at + top) // side)[:, None] + (at + left) // side
            yield f"{part}/{index:06d}", Sample((white % 2 * 255).astype(np.uint8)[..., None])


def main(arguments: list[str] | None = None) -> int:
    """Prepare checkerboards; returns the exit status."""
    parser = argparse.ArgumentParser(
        "mmspec prepare checkerboards",
        description="Draw checkerboards at random places, into OUT/train and OUT/test.",
        epilog="example:\n  mmspec prepare checkerboards data/checkerboards --size 64",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_output_option(parser)
    parser.add_argument("--size", type=whole_number, default=64, metavar="PIXELS", help="of a picture (default: 64)")
    parser.add_argument("--side", type=whole_number, default=7, metavar="PIXELS", help="of a square (default: 7)")
    parser.add_argument("--train", type=whole_number, default=4096, metavar="N", help="pictures (default: 4096)")
    parser.add_argument("--test", type=whole_number, default=1024, metavar="N", help="pictures (default: 1024)")
    options = parser.parse_args(arguments)
    counts = {TRAIN: options.train, TEST: options.test}
    settings = {"program": "data_prep.checkerboards", "--size": options.size, "--side": options.side}
    settings |= {f"--{part}": count for part, count in counts.items()}
    plan = Plan("image", settings, source="checkerboards drawn at random")
    boards = checkerboards(options.size, options.side, counts)
    return run(lambda: pack(options.out, boards, first_folder, tuple(counts), plan))


if __name__ == "__main__":
    sys.exit(main())
