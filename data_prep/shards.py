"""Tar shards that are there already -> the index by which they are trained on."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from data_prep.decoding import start_worker
from data_prep.gathering import Gathered
from data_prep.labels import sort_classes
from data_prep.options import add_output_option, whole_number
from data_prep.packing import is_done, summary
from data_prep.preparation import run
from data_prep.progress import progress
from data_prep.scanning import ScannedShard, scan
from data_prep.statistics import Sums, measure, moments
from mmspec.data import DatasetMeta, open_dataset
from mmspec.data.locations import PIPE, is_stream, locations, name_of, numbered
from mmspec.data.members import Damaged
from mmspec.data.shard_index import FORMAT, ShardList, write_index
from mmspec.errors import InputError
from mmspec.files import staged

EPILOG = """examples:
  mmspec prepare shards 'shards/train-{0000..0099}.tar' data/train
  mmspec prepare shards 'https://example.org/train-{0000..0099}.tar' data/train --captions
  mmspec prepare shards 'pipe:ssh host cat train-{0000..0099}.tar' data/train

A pipe: is a command, which is run here with your rights. The index keeps neither commands nor addresses: training is
told again, by data.shards=.
"""
Outcome = ScannedShard | str


def index(options: argparse.Namespace) -> str:
    """Read all shards once, and write their index.

    Returns:
        The report to print.

    Raises:
        InputError: if no shard holds a usable sample, one does not come, or the output holds something else.
    """
    given = locations(options.shards)
    named = [_name(number, location) for number, location in enumerate(given)]
    settings = {
        "program": "data_prep.shards",
        "shards": f"{len(named)}, {named[0]} to {named[-1]}",
        "--captions": options.captions or None,
        "--sample-rate": options.sample_rate,
    }
    if is_done(options.out, ["."], settings, ()):
        return f"{options.out} is up to date."
    gathered = Gathered(options.captions, options.sample_rate)
    with progress(options.shards, len(given)) as report:
        for number, (name, (location, outcome)) in enumerate(zip(named, _scanned(given, options.workers), strict=True)):
            if isinstance(outcome, str):
                gathered.broken.append((name, outcome))
                print(f"{location} {outcome}: it is passed over.", file=sys.stderr)
            else:
                gathered.add(name, outcome)
            report(number + 1, sum(gathered.counts), len(gathered.rejected))
    if gathered.first is None or not gathered.names:
        raise InputError(_nothing_usable(options.shards, gathered))
    with staged(options.out) as beside:
        meta = _write(beside, given[0], gathered, settings)
    return "\n".join([summary(options.out, meta), *_passed_over(gathered)])


def _scanned(given: list[str], workers: int | None) -> Iterator[tuple[str, Outcome]]:
    """What each shard holds, or what is wrong with it, in their order."""
    workers = min(len(given), workers or os.cpu_count() or 1)
    if workers == 1:
        yield from ((location, _outcome(location)) for location in given)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=start_worker) as pool:
        waiting = iter(given)
        while ahead := list(islice(waiting, 4 * workers)):
            yield from zip(ahead, pool.map(_outcome, ahead), strict=True)


def _outcome(location: str) -> Outcome:
    try:
        return scan(location)
    except Damaged as damaged:
        return str(damaged)


def _name(number: int, location: str) -> str:
    """By which the index knows a shard: neither addresses nor commands are kept, where secrets may stand."""
    return numbered(number) if location.startswith(PIPE) else name_of(location)


def _write(folder: Path, location: str, gathered: Gathered, settings: dict[str, object]) -> DatasetMeta:
    first = gathered.first
    assert first is not None
    sound = len(first.shape) == 2
    spatial = (max(gathered.lengths),) if sound else first.shape[:-1]
    classes = None if first.label is None else sort_classes(map(str, gathered.labels))
    numbers = {name: number for number, name in enumerate(classes or ())}
    meta = DatasetMeta(
        modality="audio" if sound else "image",
        source=f"shards, {settings['shards']}",
        sample_rate=gathered.rate_of(first),
        classes=classes,
        rejected=dict(Counter(reason for _, reason, _ in gathered.rejected).most_common()),
        preparation=settings,
        count=sum(gathered.counts),
        shape=(first.shape[-1], *spatial),
    )
    where = None if is_stream(location) else str(Path(location).parent.resolve())
    names, counts = tuple(gathered.names), tuple(gathered.counts)
    shards = ShardList(FORMAT, names, counts, tuple(gathered.sizes), tuple(gathered.sha256), where)
    meta = write_index(
        folder,
        shards,
        np.concatenate(gathered.places),
        None if classes is None else np.array([numbers[str(label)] for label in gathered.labels]),
        np.array(gathered.lengths) if sound else None,
        gathered.texts if gathered.captions else None,
        meta=meta,
    )
    lines = [f"{key}\t{reason} ({detail})" for key, reason, detail in sorted(gathered.rejected)]
    lines += [f"{name}\t{why}" for name, why in gathered.broken]
    (folder / "rejected.tsv").write_text("\n".join(["path\treason", *lines]) + "\n", encoding="utf-8")
    sums = Sums(gathered.total, gathered.squares)
    found = measure(open_dataset(folder), sums) if where else moments(meta, sums)
    meta = replace(meta, statistics=found)
    meta.write(folder)
    return meta


def _passed_over(gathered: Gathered) -> list[str]:
    """Lines for the report: suffixes that are not read, and broken shards."""
    suffixes = ", ".join(f".{suffix} {count:,}" for suffix, count in gathered.unknown.most_common())
    lines = [f"  not read   {suffixes}"] if suffixes else []
    if gathered.broken:
        lines.append(f"  broken     {len(gathered.broken):,} of {len(gathered.names) + len(gathered.broken):,} shards")
    return lines


def _nothing_usable(shards: str, gathered: Gathered) -> str:
    reasons = Counter(reason for _, reason, _ in gathered.rejected).most_common(3)
    said = [f"{count:,} {reason}" for reason, count in reasons]
    if gathered.rejected:
        key, reason, detail = gathered.rejected[0]
        said.append(f"first {key}: {reason} ({detail})")
    if gathered.broken:
        said.append(f"{len(gathered.broken)} broken shards, first {' '.join(gathered.broken[0])}")
    return f"{shards} holds no usable sample ({'; '.join(said) or 'the shards are empty'})."


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = argparse.ArgumentParser(
        "mmspec prepare shards",
        description="Read tar shards in webdataset's format once, from front to back, and write their index into OUT: "
        "where each sample lies, its checksum, class and caption. The shards stay as they are. Read are .png, .jpg, "
        ".webp, .wav, .flac and .npy, and what .cls, .txt and .json (label, caption) say of them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shards", metavar="SHARDS", help="a folder, or a path, http(s):// or pipe:COMMAND with {0..9}")
    add_output_option(parser)
    parser.add_argument("--captions", action="store_true", help="keep captions; a sample without one is left out")
    parser.add_argument("--sample-rate", type=whole_number, metavar="HZ", help="of sound in .npy")
    parser.add_argument("--workers", type=whole_number, metavar="PROCESSES", help="that read (default: one a core)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Index shards; returns the exit status."""
    options = parse(arguments)
    return run(lambda: index(options))


if __name__ == "__main__":
    sys.exit(main())
