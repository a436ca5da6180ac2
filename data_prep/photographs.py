"""Patches of two real photographs -> a packed data set that needs no download.

scikit-learn brings the photographs: a Chinese temple and a flower. A band of columns is held out, so that no pixel is
in both parts, at a place where the power spectra of both parts agree (1 dB rms). Patches are cut at several scales, as
a picture of 32 pixels from a photograph at full size is mostly sky or petal, and of five places drawn the one with
the most contrast is taken.
"""

import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from data_prep.drawn import DrawnSet, add_size_option
from data_prep.samples import Sample
from data_prep.splitting import TRAIN
from mmspec.errors import InputError

HELD_OUT = (0.5, 0.7)  # of the width
SCALES = (1, 2, 3)
CANDIDATES = 5
SEED = 0
SET = DrawnSet(
    name="photographs",
    does="Cut patches out of the two photographs that scikit-learn brings",
    example="--size 32",
    source="scikit-learn's sample photographs",
    unit="patches",
    test=512,
)


def patches(size: int, counts: dict[str, int]) -> Iterator[tuple[str, Sample]]:
    """Patches from places drawn with a fixed seed, equally many of each photograph and scale.

    Args:
        size: height and width in pixels.
        counts: how many of "train" and of "test".

    Raises:
        InputError: if no patch of that size fits into the held-out part.
    """
    for side, count in counts.items():
        views = []
        for label, photograph in photographs().items():
            for scale in SCALES:
                regions = [reduced(part, scale) for part in parts(photograph, side)]
                views.append((label, [region for region in regions if min(region.shape[:2]) >= size]))
        views = [(label, regions) for label, regions in views if regions]
        if not views:
            raise InputError(f"--size {size} does not fit into the {side} part of the photographs: give less.")
        draw = np.random.default_rng(SEED)
        for index in range(count):
            label, regions = views[index % len(views)]
            candidates = [_patch(regions, size, draw) for _ in range(CANDIDATES)]
            yield f"{side}/{index:06d}_{label}", Sample(max(candidates, key=np.std), label)


def _patch(regions: list[np.ndarray], size: int, draw: np.random.Generator) -> np.ndarray:
    """From any place in any region, all places alike."""
    places = np.array([(height - size + 1, width - size + 1) for height, width, _ in (r.shape for r in regions)])
    region = draw.choice(len(regions), p=places.prod(1) / places.prod(1).sum())
    top, left = draw.integers(0, places[region])
    return regions[region][top : top + size, left : left + size]


def photographs() -> dict[str, np.ndarray]:
    """Name -> uint8 ``[H, W, 3]``."""
    from sklearn.datasets import load_sample_images

    images = load_sample_images()
    return {PurePosixPath(name).stem: image for name, image in zip(images.filenames, images.images, strict=True)}


def parts(photograph: np.ndarray, side: str) -> list[np.ndarray]:
    """The columns left and right of the held-out band for training, the band itself for testing."""
    left, right = (round(photograph.shape[1] * border) for border in HELD_OUT)
    return [photograph[:, :left], photograph[:, right:]] if side == TRAIN else [photograph[:, left:right]]


def reduced(pixels: np.ndarray, scale: int) -> np.ndarray:
    """``[H, W, 3]`` with each pixel the mean of ``scale * scale``."""
    return np.asarray(Image.fromarray(pixels).reduce(scale))


def main(arguments: list[str] | None = None) -> int:
    """Prepare patches; returns the exit status."""
    parser = SET.parser()
    add_size_option(parser, 32, of="a patch")
    options = parser.parse_args(arguments)
    return SET.prepare(options, lambda counts: patches(options.size, counts), {"--size": options.size})


if __name__ == "__main__":
    sys.exit(main())
