"""Dead leaves -> a packed data set that needs no download: discs of all sizes that hide one another.

The model of natural images of Matheron (1968) and Lee, Mumford and Huang (2001): radii have a density of ``r**-3``, so
that all scales have as many edges, and a power spectrum that is known (`covariance`).
"""

import sys
from collections.abc import Iterator

import numpy as np

from data_prep.drawn import DrawnSet, add_size_option
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN

SEEDS = {TRAIN: 0, TEST: 1}
RADII = (2.0, 16.0)  # in pixels, of a picture of any size
FINER = 2  # pixels a side that become one by their mean, so that edges are no stairs
AT_ONCE = 64
SET = DrawnSet(
    name="dead_leaves",
    does="Draw discs that hide one another",
    example="--size 32",
    source="dead leaves drawn at random",
)


def leaves(size: int, counts: dict[str, int]) -> Iterator[tuple[str, Sample]]:
    """Pictures of grey discs, so many of "train" and of "test"."""
    for part, count in counts.items():
        draw = np.random.default_rng(SEEDS[part])
        for index in range(count):
            fine = picture(size * FINER, draw, tuple(radius * FINER for radius in RADII))
            pixels = fine.reshape(size, FINER, size, FINER).mean((1, 3))
            yield f"{part}/{index:06d}", Sample(np.rint(pixels * 255).astype(np.uint8)[..., None])


def picture(size: int, draw: np.random.Generator, radii: tuple[float, ...]) -> np.ndarray:
    """``[size, size]`` in [0, 1]: discs are laid below those that lie there already until all is covered.

    Args:
        size: in pixels.
        draw: of places, radii and greys, of which each is uniform in [0, 1].
        radii: the least and the greatest, in pixels.
    """
    least, most = radii
    values, at = np.full((size, size), np.nan), np.arange(size) + 0.5
    while np.isnan(values).any():
        x, y = draw.uniform(-most, size + most, (2, AT_ONCE))
        share = draw.uniform(size=AT_ONCE)
        squares = 1 / (least**-2 + share * (most**-2 - least**-2))  # of radii whose density is r**-3
        grey = draw.uniform(size=AT_ONCE)
        inside = ((at - y[:, None])[:, :, None] ** 2 + (at - x[:, None])[:, None] ** 2) < squares[:, None, None]
        first = inside.argmax(0)
        open_places = np.isnan(values) & inside.any(0)
        values[open_places] = grey[first[open_places]]
    return values


def covariance(distance: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    """Of two points of a picture, over the variance: the chance that one leaf, the first to touch either, covers both.

    With ``g(d)`` the mean area that a leaf shares with itself moved by ``d``, it is ``g(d) / (2 g(0) - g(d))``.

    Args:
        distance: between the points, in the unit of the radii.
        radii: the least and the greatest.
    """
    radius = np.geomspace(*radii, 4001)
    half = np.clip(np.asarray(distance)[..., None] / (2 * radius), 0, 1)
    shared = 2 * radius**2 * (np.arccos(half) - half * np.sqrt(1 - half**2))
    own = np.trapezoid(np.pi * radius**2 * radius**-3, radius)
    both = np.trapezoid(shared * radius**-3, radius, axis=-1)
    return np.asarray(both / (2 * own - both))


def main(arguments: list[str] | None = None) -> int:
    """Prepare dead leaves; returns the exit status."""
    parser = SET.parser()
    add_size_option(parser, 32)
    options = parser.parse_args(arguments)
    return SET.prepare(options, lambda counts: leaves(options.size, counts), {"--size": options.size})


if __name__ == "__main__":
    sys.exit(main())
