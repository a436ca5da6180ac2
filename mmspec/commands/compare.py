"""``mmspec compare``: where two sets of pictures or recordings differ, octave by octave, and whether by chance."""

import json
from collections.abc import Sequence

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mmspec.config import plain
from mmspec.drawing.tables import TextTable
from mmspec.experiment.report_card import CompareOptions, Comparison, compare_sets, rows
from mmspec.typed import read

OPTIONS = (CompareOptions,)
SHOWN = ("bias (dB)", "95%", "AUC", "differs in")  # what a terminal has room for; a page and JSON have the rest


def run(cfg: DictConfig) -> None:
    """Compare the sets that conf/compare.yaml describes, and print the verdict.

    Raises:
        InputError: if a set cannot be read, the sets do not fit together, or a key cannot be used.
    """
    options = read(CompareOptions, plain(cfg))
    comparison = compare_sets(options)
    if options.format == "json":
        print(json.dumps(comparison.write(), indent=1))
    else:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    console = Console(highlight=False)
    console.print(comparison.verdict, soft_wrap=True, markup=False)
    octaves, metrics = rows(comparison)
    console.print(_rich(octaves, SHOWN), _rich(metrics))
    for warning in comparison.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    if comparison.options.out is not None:
        console.print(f"{comparison.options.out}", soft_wrap=True, markup=False)


def _rich(table: TextTable, shown: Sequence[str] = ()) -> Table:
    """The columns of which a heading is shown, or all of them."""
    kept = [i for i, heading in enumerate(table.headings) if i == 0 or not shown or heading in shown]
    found = Table()
    for i in kept:
        found.add_column(table.headings[i], justify="left" if i == 0 else "right", no_wrap=True)
    for row in table.rows:
        found.add_row(*(row[i] for i in kept))
    return found
