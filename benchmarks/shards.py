"""Training data from tar shards: samples a second and memory, of sets from 10,000 to 1,000,000 pictures of 8x8 pixels.

Each cell is 20,000 samples in a process of its own, in the order of training, in batches of 64 on one thread: samples a
second of that process's time on the processor, and what memory it takes at most above what it takes before it opens the
set, with the pages of files that it touches. Streams are what `cat` prints. The second table is of `data_prep.images`
in one process, of a tar archive of such pictures.
"""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.record import Findings, Table
from data_prep.encoding import SUFFIXES
from data_prep.shard_files import Piece, write_shard
from mmspec.data import DatasetMeta, write_packed
from mmspec.data.shard_index import FORMAT, ShardList, write_index

COUNTS, PREPARED = (10_000, 100_000, 1_000_000), (5_000, 20_000)
A_SHARD, BATCH, READ = 1000, 64, 20_000
PEAK = """
import json, sys, time
import torch, mmspec.spectral
import PIL.PngImagePlugin

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
"""
READER = f"""{PEAK}
from mmspec.data import open_dataset
from mmspec.training.batches import sample_order

torch.set_num_threads(1)
folder, batch, read, shards = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] or None
before = peak()
dataset = open_dataset(folder, shards)
order = sample_order(dataset, batch, seed=0)
dataset.batch(order.indices(0))
start = time.process_time()
for step in range(1, read // batch):
    dataset.batch(order.indices(step))
print(json.dumps([(read // batch - 1) * batch / (time.process_time() - start), peak() - before]))
"""


PREPARER = f"""{PEAK}
from data_prep import images

before, start = peak(), time.process_time()
words = ["--size", "8", "--label", "none", "--workers", "1"]
assert images.main([*sys.argv[2:], *words]) == 0
print(json.dumps([int(sys.argv[1]) / (time.process_time() - start), peak() - before]))
"""


def write_sets(folder: Path, count: int, pixels: np.ndarray, shard: Path) -> None:
    """``count`` pictures packed, and in copies of a shard that holds ``pixels``."""
    copies = count // A_SHARD
    labels = np.arange(count) % 10
    meta = DatasetMeta(modality="image", source="noise", classes=tuple("0123456789"))
    write_packed(folder / "packed", np.tile(pixels, (copies, 1, 1, 1)), labels, meta=meta)
    (folder / "shards").mkdir()
    names = [f"shard-{number:06}.tar" for number in range(copies)]
    for name in names:
        shutil.copyfile(shard, folder / "shards" / name)
    places = np.load(shard.with_suffix(".npy"))
    size = shard.stat().st_size
    listed = ShardList(FORMAT, tuple(names), (A_SHARD,) * copies, (size,) * copies, ("",) * copies)
    meta = DatasetMeta(
        modality="image", source="noise", classes=meta.classes, count=count, shape=(3, *pixels.shape[1:3])
    )
    write_index(folder / "shards", listed, np.tile(places, (copies, 1)), labels, meta=meta)


def write_first(folder: Path) -> tuple[np.ndarray, Path]:
    """Pictures, and a shard of them, with their places beside it."""
    pixels = np.random.default_rng(0).integers(0, 256, (A_SHARD, 8, 8, 3), dtype=np.uint8)
    pieces, end = [], 0
    with (folder / "contents").open("wb") as file:
        for number, picture in enumerate(pixels):
            encoded = io.BytesIO()
            Image.fromarray(picture).save(encoded, "PNG", compress_level=1)
            content = encoded.getvalue()
            file.write(content)
            pieces.append(Piece(f"{number:09}", end, len(content), zlib.crc32(content), number % 10, None))
            end += len(content)
    written = write_shard(folder / "first.tar", folder / "contents", pieces, SUFFIXES["image"])
    np.save(folder / "first.npy", written.places)
    return pixels, folder / "first.tar"


def measured(program: str, *words: object) -> list[str]:
    """Samples a second and megabytes that a program prints."""
    command = [sys.executable, "-c", program, *map(str, words)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, megabytes = json.loads(shown.splitlines()[-1])
    return [f"{rate:,.0f}/s", f"{megabytes:,.0f} MB"]


def read(folder: Path, shards: str = "") -> list[str]:
    """Samples a second and megabytes of a reader."""
    return measured(READER, folder, BATCH, READ, shards)


def write_archive(folder: Path, count: int, pixels: np.ndarray) -> Path:
    """``count`` pictures in one tar archive."""
    encoded = [io.BytesIO() for _ in pixels]
    for file, picture in zip(encoded, pixels, strict=True):
        Image.fromarray(picture).save(file, "PNG")
    with tarfile.open(folder / "pictures.tar", "w") as archive:
        for number in range(count):
            content = encoded[number % len(encoded)].getvalue()
            member = tarfile.TarInfo(f"{number % 10}/{number:07}.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder / "pictures.tar"


def main(counts: tuple[int, ...] = COUNTS, prepared: tuple[int, ...] = PREPARED) -> Findings:
    """Both tables."""
    return Findings([Table(*reading(counts)), Table(*preparing(prepared))])


def preparing(counts: tuple[int, ...]) -> tuple[list[str], list[list[str]]]:
    """What it costs to prepare sets of so many pictures."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        pixels, _ = write_first(Path(scratch))
        for count in counts:
            archive = write_archive(Path(scratch), count, pixels)
            ways = {"packed": [], "shards": ["--shards", A_SHARD]}
            cells = [measured(PREPARER, count, archive, f"{archive}-{count}-{way}", *ways[way]) for way in ways]
            rows.append([f"{count:,}", *cells[0], *cells[1]])
    return ["samples prepared", "packed", "memory", "shards", "memory"], rows


def reading(counts: tuple[int, ...]) -> tuple[list[str], list[list[str]]]:
    """What it costs to read sets of so many pictures."""
    header = ["samples read", "packed", "memory", "shards", "memory", "streams", "memory"]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        pixels, shard = write_first(Path(scratch))
        for count in counts:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                write_sets(folder, count, pixels, shard)
                piped = f"pipe:cat {folder}/shards/shard-{{000000..{count // A_SHARD - 1:06}}}.tar"
                cells = [*read(folder / "packed"), *read(folder / "shards"), *read(folder / "shards", piped)]
                rows.append([f"{count:,}", *cells])
    return header, rows
