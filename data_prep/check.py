"""All of a data set, packed or in shards, against its checksums."""

import argparse
import sys
from pathlib import Path

from data_prep.preparation import run
from mmspec.data import open_dataset
from mmspec.data.shards import ShardedDataset, wrong_size
from mmspec.errors import InputError
from mmspec.files import sha256


def check(folder: Path) -> str:
    """Read every byte of the samples.

    Returns:
        The report to print.

    Raises:
        InputError: if something is not as it was written.
    """
    dataset = open_dataset(folder)
    if not isinstance(dataset, ShardedDataset):
        dataset.verify()
        return f"{folder}: all {len(dataset):,} samples are as they were written."
    shards, broken = dataset.index.shards, []
    for location, size, expected in zip(dataset.locations, shards.sizes, shards.sha256, strict=True):
        why = wrong_size(Path(location), size)
        if why is None and sha256(Path(location)) != expected:
            why = "does not match its checksum in shards.json"
        if why is not None:
            broken.append(location)
            print(f"{location} {why}.", file=sys.stderr)
    if broken:
        raise InputError(f"{len(broken)} of the {len(shards.names)} shards of {folder} are broken: fetch them again.")
    return f"{folder}: all {len(shards.names):,} shards are as they were indexed."


def main(arguments: list[str] | None = None) -> int:
    """Check a data set; returns the exit status."""
    parser = argparse.ArgumentParser("mmspec prepare check", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a data set, or of the index of shards")
    options = parser.parse_args(arguments)
    return run(lambda: check(options.folder))


if __name__ == "__main__":
    sys.exit(main())
