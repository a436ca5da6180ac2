"""``mmspec compare``: where two sets of pictures or recordings differ, octave by octave, and whether by chance."""

import json
from collections.abc import Sequence

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.drawing.tables import TextTable, columns
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
    octaves, metrics = rows(comparison)
    tables = [columns(_with(octaves, SHOWN)), columns(metrics)]
    warnings = [f"warning: {warning}" for warning in comparison.warnings]
    page = [] if comparison.options.out is None else [str(comparison.options.out)]
    print("\n".join([comparison.verdict, "", *tables, *warnings, *page]))


def _with(table: TextTable, shown: Sequence[str]) -> TextTable:
    """The first column, and those of which the headings are shown."""
    kept = [i for i, heading in enumerate(table.headings) if i == 0 or heading in shown]
    headings, *found = [[row[i] for i in kept] for row in (table.headings, *table.rows)]
    return TextTable(table.title, headings, found)
