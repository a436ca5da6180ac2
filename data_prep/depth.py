"""What the numbers of a picture stand for, where they are not of 8 bits; and the 8 bits that are stored of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from data_prep.samples import Rejected

BITS, PHOTOMETRIC, PLANES, SIGNS = 258, 262, 284, 339  # tags of TIFF 6.0
WHITE_IS_ZERO, SEPARATE, UNSIGNED = 0, 2, 1


@dataclass(frozen=True)
class Depth:
    """The range of a picture's values.

    Attributes:
        bits: of each.
        inverted: whether the largest stands for black, and Pillow leaves them so.
    """

    bits: int = 8
    inverted: bool = False

    def eight_bits(self, image: Image.Image) -> Image.Image:
        """Grey of more bits scaled by its largest value; of colour Pillow reads the upper 8, at most a step darker."""
        if not image.mode.startswith("I"):
            return image
        values = np.asarray(image).astype(np.float64)
        scaled = np.rint(values * (255 / (2**self.bits - 1))).astype(np.uint8)
        grey = Image.fromarray(255 - scaled if self.inverted else scaled)
        clear = image.info.get("transparency")
        if isinstance(clear, int):  # the one value that is transparent
            grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return grey


def depth(image: ImageFile.ImageFile) -> Depth:
    """The range of a picture that is opened, and not loaded yet.

    Raises:
        Rejected: if nothing says which of its numbers is white, or Pillow would take them for others.
    """
    stored = [_told(tile[3]) for tile in image.tile]
    raw = " ".join(str(each[0]) for each in stored)
    if image.mode == "F":
        raise Rejected("unknown range", "a picture of floating-point numbers")
    if ";32" in raw or (image.mode == "I" and image.format != "PPM" and ";16" not in raw):
        raise Rejected("unknown range", "a picture of 32 bits")
    tags = getattr(image, "tag_v2", {})
    if ";16S" in raw or any(sign != UNSIGNED for sign in _numbers(tags.get(SIGNS, UNSIGNED))):
        raise Rejected("unknown range", "a picture of numbers that may be negative")
    if tags.get(PLANES) == SEPARATE and max(_numbers(tags.get(BITS, 1))) > 8 and ";16" not in raw:
        raise Rejected("unsupported picture", "a TIFF of separate planes of more than 8 bits")
    if ";12" in raw:
        return Depth(12)
    deep = image.mode.startswith("I") or ";16" in raw or any(_largest(each) > 255 for each in stored)
    return Depth(16 if deep else 8, image.mode.startswith("I") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def _told(arguments: Any) -> tuple[Any, ...]:
    """What a decoder of Pillow is told, first of all how values are stored, as ``RGB;16B``."""
    return arguments if isinstance(arguments, tuple) and arguments else (arguments,)


def _largest(told: tuple[Any, ...]) -> int:
    """The value that is white, where that of PPM's decoders is told; 0 of all else."""
    return told[1] if len(told) == 2 and told[0] in ("L", "RGB") and isinstance(told[1], int) else 0


def _numbers(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
