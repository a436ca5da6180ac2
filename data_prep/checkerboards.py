"""Checkerboards -> a packed data set that needs no download, with a spectrum that is known to be hard.

The toy of "Spectral Regularization for Diffusion Models" (figures 1 and 2): grey pictures of 64x64. The board of black
and white squares begins at a place drawn anywhere. As 7 does not divide 64, sharp edges put energy at all frequencies,
which a denoiser that smooths them loses.
"""

import sys
from collections.abc import Iterator

import numpy as np

from data_prep.drawn import DrawnSet, add_size_option
from data_prep.options import whole_number
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN

SEEDS = {TRAIN: 0, TEST: 1}
SET = DrawnSet(
    name="checkerboards",
    does="Draw checkerboards at random places",
    example="--size 64",
    source="checkerboards drawn at random",
)


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
    parser = SET.parser()
    add_size_option(parser, 64)
    parser.add_argument("--side", type=whole_number, default=7, metavar="PIXELS", help="of a square (default: 7)")
    options = parser.parse_args(arguments)
    own = {"--size": options.size, "--side": options.side}
    return SET.prepare(options, lambda counts: checkerboards(options.size, options.side, counts), own)


if __name__ == "__main__":
    sys.exit(main())
