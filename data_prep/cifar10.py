"""The binary version of CIFAR-10 -> a packed data set, without unpickling anything."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.options import add_output_option
from data_prep.packing import Plan, pack
from data_prep.preparation import run
from data_prep.samples import Rejected, Sample
from data_prep.sources import Source, open_source
from data_prep.splitting import WHOLE

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
SHAPE = (3, 32, 32)
RECORD = 1 + int(np.prod(SHAPE))  # bytes: the class, then red, green and blue


def pictures(source: Source, part: str) -> Iterator[tuple[str, Sample | Rejected]]:
    """The pictures of a part, "train" or "test"."""
    for member in source.members():
        name = PurePosixPath(member.name).name
        if name not in FILES[part]:
            continue
        if isinstance(member.content, Rejected):
            yield name, member.content
            continue
        if len(member.content) % RECORD:
            yield name, Rejected("damaged", f"{len(member.content)} bytes are no whole number of pictures")
            continue
        records = np.frombuffer(member.content, np.uint8).reshape(-1, RECORD)
        for index, record in enumerate(records):
            yield f"{name}/{index:05d}", _sample(record)


def _sample(record: np.ndarray) -> Sample | Rejected:
    label = int(record[0])
    if label >= len(CLASSES):
        return Rejected("unknown class", str(label))
    return Sample(np.ascontiguousarray(record[1:].reshape(SHAPE).transpose(1, 2, 0)), CLASSES[label])


def main(arguments: list[str] | None = None) -> int:
    """Prepare CIFAR-10; returns the exit status."""
    parser = argparse.ArgumentParser(
        "mmspec prepare cifar10",
        description="Read the pictures and classes of cifar-10-binary.tar.gz.",
        epilog="example:\n  mmspec prepare cifar10 cifar-10-binary.tar.gz data/cifar10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="cifar-10-binary.tar.gz, or what was in it")
    add_output_option(parser)
    parser.add_argument("--part", choices=FILES, default="train", help="50,000 or 10,000 pictures (default: train)")
    options = parser.parse_args(arguments)
    return run(lambda: _prepare(options))


def _prepare(options: argparse.Namespace) -> str:
    source = open_source(options.source)
    settings = {"program": "data_prep.cifar10", "--part": options.part, "source": source.fingerprint()}
    plan = Plan("image", settings, source=source.path.name, classes=CLASSES)
    return pack(options.out, pictures(source, options.part), lambda name: WHOLE, (WHOLE,), plan)


if __name__ == "__main__":
    sys.exit(main())
