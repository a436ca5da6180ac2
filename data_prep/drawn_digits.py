"""Drawn digits -> a packed data set that needs no download: the ten digits in the typefaces that come with matplotlib.

White on black, near the middle. Sharp edges put energy at all frequencies, and anyone sees
whether a digit is one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_prep.drawn import DrawnSet, add_size_option
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN

TYPEFACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique", "Mono", "Mono-Bold")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *(f"cm{style}10" for style in ("b", "r", "ss", "tt")),
)
HEIGHTS = (0.6, 0.75)  # of a digit, of the picture's
SHIFT = 1.5  # pixels from the middle, at most
SEEDS = {TRAIN: 0, TEST: 1}
SET = DrawnSet(
    name="drawn_digits",
    does="Draw the ten digits in the typefaces that matplotlib brings",
    example="--size 32",
    source="digits in matplotlib's typefaces",
    train=8192,
    test=1000,
)


def digits(size: int, counts: dict[str, int]) -> Iterator[tuple[str, Sample]]:
    """So many digits of "train" and of "test", equally many of each; the label is the digit."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for part, count in counts.items():
        draw = np.random.default_rng(SEEDS[part])
        for index in range(count):
            typeface = folder / f"{draw.choice(TYPEFACES)}.ttf"
            label = str(index % 10)
            yield f"{part}/{index:06d}_{label}", Sample(picture(label, typeface, size, draw), label)


def picture(digit: str, typeface: Path, size: int, draw: np.random.Generator) -> np.ndarray:
    """uint8 ``[size, size, 1]``: a digit whose height and place are drawn."""
    height = draw.uniform(*HEIGHTS) * size
    points = height * 100 / _height(digit, typeface)
    font = ImageFont.truetype(typeface, points)
    left, top, right, bottom = font.getbbox(digit)
    at = [(size - extent) / 2 + draw.uniform(-SHIFT, SHIFT) for extent in (right - left, bottom - top)]
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).text((at[0] - left, at[1] - top), digit, fill=255, font=font)
    return np.asarray(image)[..., None]


def _height(digit: str, typeface: Path) -> float:
    """Pixels of the digit at 100 points."""
    _, top, _, bottom = ImageFont.truetype(typeface, 100).getbbox(digit)
    return bottom - top


def main(arguments: list[str] | None = None) -> int:
    """Prepare drawn digits; returns the exit status."""
    parser = SET.parser()
    add_size_option(parser, 32)
    options = parser.parse_args(arguments)
    return SET.prepare(options, lambda counts: digits(options.size, counts), {"--size": options.size})


if __name__ == "__main__":
    sys.exit(main())
