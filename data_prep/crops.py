"""Small crops of large photographs, anywhere in them -> a packed data set that is as sharp as its source.

A photograph resized to 32 pixels shows a scene; a crop of it shows edges and textures, on whose spectra a denoiser is
tried. A photograph's crops are all held out, or none is.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.decoding import Decoder, decode_members
from data_prep.images import PictureDecoder
from data_prep.labels import LabelRule
from data_prep.options import add_output_option, fraction, whole_number
from data_prep.packing import Plan, pack
from data_prep.preparation import run
from data_prep.samples import Rejected, Sample
from data_prep.sources import Source, open_source
from data_prep.splitting import Split


def crops(source: Source, size: int, count: int, scale: int = 1) -> Iterator[tuple[str, Sample | Rejected]]:
    """So many crops of each photograph, from places that its name alone decides.

    Args:
        source: of photographs.
        size: height and width of a crop, in pixels.
        count: crops a photograph.
        scale: of a photograph first the mean of so many by so many pixels is taken, which leaves no trace of JPEG.

    Yields:
        The photograph's name with the crop's number, and the crop; or its name and why there is none.
    """
    decoder: Decoder = PictureDecoder(None, 3, LabelRule("none"), "box", "white")
    for member, decoded in decode_members(source.members(), decoder, workers=1):
        if isinstance(decoded, Rejected):
            yield member.name, decoded
            continue
        assert isinstance(decoded, Sample)
        pixels = np.asarray(Image.fromarray(decoded.data).reduce(scale))
        height, width, _ = pixels.shape
        if min(height, width) < size:
            yield member.name, Rejected("too small", f"{height}x{width} after a reduction by {scale}")
            continue
        name = "/".join(member.name.rsplit("/", 2)[-2:])
        draw = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
        for index in range(count):
            top, left = draw.integers(0, (height - size + 1, width - size + 1))
            crop = pixels[top : top + size, left : left + size]
            yield f"{member.name}#{index:03d}", Sample(crop.copy(), converted=decoded.converted)


def _side(split: Split, name: str) -> str:
    return split(name.rsplit("#", 1)[0])


def main(arguments: list[str] | None = None) -> int:
    """Prepare crops; returns the exit status."""
    parser = argparse.ArgumentParser(
        "mmspec prepare crops",
        description="Cut crops out of the photographs of a folder or an archive, into OUT/train and OUT/test.",
        epilog="example:\n  mmspec prepare crops photographs.tar.gz data/crops --size 32 --reduce 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a folder, or a .tar, .tar.gz, .tgz or .zip")
    add_output_option(parser)
    parser.add_argument("--size", type=whole_number, default=32, metavar="PIXELS", help="of a crop (default: 32)")
    parser.add_argument(
        "--reduce", type=whole_number, default=1, metavar="N", help="photographs first: N by N pixels to 1 (default: 1)"
    )
    parser.add_argument("--count", type=whole_number, default=20, metavar="N", help="crops a photograph (default: 20)")
    parser.add_argument(
        "--holdout", type=fraction, default=0.2, metavar="FRACTION", help="of the photographs (default: 0.2)"
    )
    options = parser.parse_args(arguments)
    settings = {"program": "data_prep.crops"} | {
        f"--{key}": getattr(options, key) for key in ("size", "reduce", "count", "holdout")
    }
    return run(lambda: _prepare(options, Plan("image", settings)))


def _prepare(options: argparse.Namespace, plan: Plan) -> str:
    source, split = open_source(options.source), Split(options.holdout)
    cut = crops(source, options.size, options.count, options.reduce)
    plan = plan.of_source(source.path.name, {"source": source.fingerprint()})
    return pack(options.out, cut, lambda name: _side(split, name), split.sides, plan)


if __name__ == "__main__":
    sys.exit(main())
