"""Options that several programs share, and what their values may be."""

import argparse
from pathlib import Path

from data_prep.labels import LabelRule


def add_source_options(parser: argparse.ArgumentParser, label: str | None) -> None:
    """SOURCE, OUT, classes, the held-out part and the number of processes.

    Args:
        parser: that gets them.
        label: default rule for the classes; None for `data_prep.classes.FoundClasses`.
    """
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a folder, or a .tar, .tar.gz, .tgz or .zip")
    add_output_option(parser)
    parser.add_argument(
        "--label",
        "--classes",
        type=label_rule,
        default=label,
        metavar="RULE",
        help="where the class is found: none; parent, the folder that the file lies in, or EDM's dataset.json where "
        "pictures come with one; name:N, the N-th field (from 0) of the file name split at _; regex:PATTERN, its first "
        f"group, in the path (default: {label or 'parent, or none where there are not two folders of usable files'})",
    )
    parser.add_argument(
        "--captions",
        action="store_true",
        help="keep what the text file beside each says (cat.txt of cat.png), for training on texts; without one it is "
        "left out",
    )
    parser.add_argument(
        "--shards",
        type=whole_number,
        metavar="SAMPLES",
        help="write tar shards of so many samples each, which webdataset reads too, in place of one packed array; what "
        "was interrupted goes on",
    )
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        "--holdout",
        type=fraction,
        metavar="FRACTION",
        help="write OUT/train and OUT/test, with about this fraction in test, chosen by a hash of folder and file name",
    )
    held_out.add_argument(
        "--holdout-pattern",
        metavar="PATTERN",
        help="write OUT/train and OUT/test, with the files in test whose name or /path matches this shell pattern",
    )
    parser.add_argument(
        "--workers", type=whole_number, metavar="PROCESSES", help="that decode (default: by the size of SOURCE)"
    )


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """OUT."""
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write; left alone if it is up to date")


def whole_number(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def number(text: str, least: float, most: float) -> float:
    """A number above ``least`` and below ``most``."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least < value < most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between {least:g} and {most:g}")
    return value


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    return number(text, 0, 1)


def label_rule(text: str) -> LabelRule:
    """A rule by which classes are found."""
    try:
        return LabelRule(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
