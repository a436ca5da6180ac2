"""Pictures of a folder or an archive -> a packed data set."""

import argparse
import io
import struct
import sys
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, UnidentifiedImageError

from data_prep.classes import FoundClasses
from data_prep.depth import Depth, depth
from data_prep.labels import LabelRule
from data_prep.options import add_source_options
from data_prep.packing import Plan
from data_prep.png import pixels_alone
from data_prep.preparation import prepare, run
from data_prep.samples import Rejected, Sample, undecodable

FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
EXIF_ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BAND_PIXELS = 1 << 22
# Of files of any size, and of each byte besides: photographs have less than 4 a byte, and decoders take up to 20 bytes
# of memory for each.
FREE_PIXELS, PIXELS_A_BYTE = 45_000_000, 4
POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")
EPILOG = """examples:
  mmspec prepare images photos/ data/photos --size 64
  mmspec prepare images cifar10-images.tar.gz data/cifar10 --size 32 --holdout 0.1
  mmspec prepare images afhq.tar.gz data/afhq --size 64 --holdout-pattern '*/val/*'
"""


@dataclass(frozen=True)
class PictureDecoder:
    """File content -> uint8 ``[H, W, C]``: upright, opaque, the middle cut out in the right proportion, resized.

    Attributes:
        size: height and width in pixels; None for those of each picture.
        channels: 1 (luminance) or 3 (RGB).
        label: how the class is read off the path.
        resize: a key of FILTERS.
        background: colour behind transparent pixels, by any name that Pillow knows.
    """

    size: tuple[int, int] | None
    channels: int
    label: LabelRule
    resize: str
    background: str

    def __call__(self, name: str, content: bytes) -> Sample:
        """Decode one file.

        Raises:
            Rejected: if it is no picture, or not a whole one, or has no label.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about metadata; what matters is rejected or counted
            pixels, converted = self._decoded(content)
        return Sample(pixels, self.label(name), converted=converted)

    def _decoded(self, content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        try:
            return self._pixels(content)
        except (Rejected, MemoryError):
            raise
        except UnidentifiedImageError:
            raise _unidentified(content) from None
        except Image.DecompressionBombError as error:
            raise Rejected("too large", str(error)) from None
        except Exception as error:  # decoders raise anything on damaged files: SyntaxError, struct.error, IndexError
            said = f"not supported: {error}" if isinstance(error, NotImplementedError) else str(error)
            raise undecodable("picture", said or type(error).__name__) from None

    def _pixels(self, content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        converted: list[str] = []
        image, found = _opened(content, converted)
        image = _upright(image, converted)
        height, width = self.size or (image.height, image.width)
        box = _middle(image, height, width)
        if box != (0, 0, *image.size):
            # Cut out before it is resized, as EDM's tool does: no filter reaches what is cut off.
            image = image.crop(box)
        stored = self._stored(image, found, converted)
        if stored.width < width or stored.height < height:
            converted.append("enlarged")
        if stored.size != (width, height):
            stored = stored.resize((width, height), FILTERS[self.resize])
        return np.asarray(stored).reshape(height, width, self.channels), tuple(dict.fromkeys(converted))

    def _stored(self, image: Image.Image, found: Depth, converted: list[str]) -> Image.Image:
        """In the mode that is stored, a few rows at a time: conversions take several times a picture's memory."""
        rows = max(1, BAND_PIXELS // image.width)
        if rows >= image.height:
            return self._opaque(found.eight_bits(image), converted)
        stored = Image.new("L" if self.channels == 1 else "RGB", image.size)
        for top in range(0, image.height, rows):
            band = image.crop((0, top, image.width, min(top + rows, image.height)))
            stored.paste(self._opaque(found.eight_bits(band), converted), (0, top))
        return stored

    def _opaque(self, image: Image.Image, converted: list[str]) -> Image.Image:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema() != (255, 255):  # a channel that is opaque throughout changes nothing
                converted.append(f"transparency on {self.background}")
            back = Image.new("RGBA", image.size, (*ImageColor.getrgb(self.background)[:3], 255))
            image = Image.alpha_composite(back, image).convert("RGB")
        mode = "L" if self.channels == 1 else "RGB"
        if image.mode != mode:
            converted.append(f"{image.mode} to {mode}")
            image = image.convert(mode)
        return image


def _opened(content: bytes, converted: list[str]) -> tuple[Image.Image, Depth]:
    """The picture decoded, and what its numbers stand for."""
    if content.startswith(POSTSCRIPT):
        raise Rejected("not a picture", "PostScript is a program, and is not run")
    image = Image.open(io.BytesIO(pixels_alone(content)))
    pixels = image.width * image.height
    if pixels > FREE_PIXELS + PIXELS_A_BYTE * len(content):
        raise Rejected("too large", f"its header promises {pixels:,} pixels, in {len(content):,} bytes")
    if getattr(image, "n_frames", 1) > 1:
        converted.append(f"{image.format}, first frame")
    found = depth(image)
    if found.bits > 8:
        converted.append(f"{found.bits} bits")
    image.load()
    return image, found


def _unidentified(content: bytes) -> Rejected:
    """Why Pillow does not open a file, in the words of the format whose mark it bears."""
    for opened, accepts in Image.OPEN.values():
        try:
            if accepts is not None and accepts(content[:16]) is True:
                opened(io.BytesIO(content), "")
        except struct.error:  # of a file that is shorter than the mark of a format
            continue
        except Exception as error:  # as decoders do
            return undecodable("picture", str(error) or type(error).__name__)
    return Rejected("not a picture", "of no format that Pillow knows")


def _upright(image: Image.Image, converted: list[str]) -> Image.Image:
    """The picture as it was meant to be looked at; EXIF knows no orientations but 1 to 8."""
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # as decoders do; the pixels are whole
        converted.append("unreadable EXIF")
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    converted.append("turned upright by EXIF")
    return image.transpose(turn)


def _middle(image: Image.Image, height: int, width: int) -> tuple[int, int, int, int]:
    """The largest box in the middle of a picture that has the proportion height : width."""
    inner_width = min(image.width, max(1, round(image.height * width / height)))
    inner_height = min(image.height, max(1, round(image.width * height / width)))
    left, top = (image.width - inner_width) // 2, (image.height - inner_height) // 2
    return left, top, left + inner_width, top + inner_height


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if not all(side.isdecimal() and int(side) > 0 for side in sides) or len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of pixels nor HEIGHTxWIDTH")
    return int(sides[0]), int(sides[-1])


def _colour(text: str) -> str:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no colour, expected a name or #rrggbb") from None
    return text


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = argparse.ArgumentParser(
        "mmspec prepare images",
        description="Decode, crop and resize the pictures of a folder or an archive into a packed data set. Files "
        "that are no whole picture are left out and listed in OUT/rejected.tsv.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_options(parser, label=None)
    parser.add_argument(
        "--size", type=_size, required=True, metavar="PIXELS|HxW", help="the middle is cut out in this proportion"
    )
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="1: luminance, 3: RGB (default)")
    parser.add_argument("--resize", choices=FILTERS, default="lanczos", help="Pillow's filter (default: lanczos)")
    parser.add_argument(
        "--background", type=_colour, default="white", metavar="COLOUR", help="behind transparency (default: white)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Prepare pictures; returns the exit status."""
    options = parse(arguments)
    settings = {
        "program": "data_prep.images",
        "resize rule": f"the middle in the wanted proportion cut out, then resized by Pillow's {options.resize} filter",
        "--size": "x".join(map(str, options.size)),
        "--channels": options.channels,
        "--resize": options.resize,
        "--background": options.background,
    }
    return run(lambda: _prepare(options, Plan("image", settings)), goes_on=options.shards is not None)


def _prepare(options: argparse.Namespace, plan: Plan) -> str:
    found = options.label is None or options.label.text == "parent"
    classes = FoundClasses(required=options.label is not None) if found else None
    rule = LabelRule("none") if found else options.label
    decoder = PictureDecoder(options.size, options.channels, rule, options.resize, options.background)
    return prepare(options, decoder, plan, classes)


if __name__ == "__main__":
    sys.exit(main())
