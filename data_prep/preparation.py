"""What every preparation of files does: find the source, skip what is done, decode, pack, report."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator

from data_prep.captions import CaptionDecoder, Captions
from data_prep.classes import FoundClasses
from data_prep.dataset_json import DatasetJsonDecoder
from data_prep.decoding import Decoder, decode_members, default_workers
from data_prep.encoding import EncodingDecoder
from data_prep.packing import Plan, pack
from data_prep.progress import progress
from data_prep.samples import Decoded, Rejected, Sample
from data_prep.sharding import Sharding, shard
from data_prep.sources import Source, open_source
from data_prep.splitting import Split
from mmspec.errors import InputError

REFUSED, INTERRUPTED = 2, 130


def prepare(options: argparse.Namespace, decoder: Decoder, plan: Plan, classes: FoundClasses | None = None) -> str:
    """Decode the files of a source into packed folders.

    Args:
        options: those of `data_prep.options.add_source_options`.
        decoder: (name, content) -> Sample, or raises Rejected.
        plan: what is made; source, label rule and split are added to its settings.
        classes: where all files together tell them, instead of the label rule.

    Returns:
        The report to print.

    Raises:
        InputError: if the source or the output folder cannot be used.
    """
    source = open_source(options.source)
    if options.out.resolve().is_relative_to(source.path.resolve()):
        raise InputError(f"{options.out} lies inside of its source {options.source}: give an OUT elsewhere.")
    split = Split(options.holdout, options.holdout_pattern)
    plan = plan.of_source(
        source.path.name,
        {
            "--label": options.label.text if classes is None else None,
            "--holdout": options.holdout,
            "--holdout-pattern": options.holdout_pattern,
            "--captions": options.captions or None,
            "--shards": options.shards,
            "source": source.fingerprint(),
        },
    )
    workers = options.workers or default_workers(source.size)
    decoder = EncodingDecoder(decoder, plan.sample_rate) if options.shards else decoder
    decoder = CaptionDecoder(decoder) if options.captions else decoder
    decoder = DatasetJsonDecoder(decoder, str(options.source)) if classes else decoder
    if options.shards:
        sharding = Sharding(options.shards, split, split.sides, options.captions, classes, workers)
        return shard(options.out, lambda done: _decoded(source, decoder, workers, done), plan, sharding)
    captions = Captions() if options.captions else None
    decoded = (classes or FoundClasses()).taken_from(_decoded(source, decoder, workers))
    samples = (captions or Captions()).taken_from(decoded)
    return pack(options.out, samples, split, split.sides, plan, captions, classes)


def _decoded(source: Source, decoder: Decoder, workers: int, done: int = 0) -> Iterator[tuple[str, Decoded | Rejected]]:
    """What became of every member but the first, of which so many are ``done``."""
    kept = rejected = 0
    with progress(source.path.name, source.size) as report:
        for member, outcome in decode_members(source.members(done), decoder, workers):
            rejected += isinstance(outcome, Rejected)
            kept += isinstance(outcome, Sample)
            report(member.end, kept, rejected)
            yield member.name, outcome


def run(work: Callable[[], str], *, goes_on: bool = False) -> int:
    """Do a program's work and print its report; what a user can mend becomes one sentence on stderr.

    Args:
        work: gives the report.
        goes_on: whether the same command goes on where it was interrupted.

    Returns:
        The exit status: 0, 2 if the input or the disk refuses, 130 if interrupted.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes share the cores; takes effect where torch is not loaded
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        print(work())
        return 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"error: {error.filename or 'the disk'}: {error.strerror or error}.", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print(f"interrupted: {'the same command goes on' if goes_on else 'nothing was written'}.", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
