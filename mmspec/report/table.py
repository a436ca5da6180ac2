"""The table of an experiment: means and standard deviations over its runs, beside the figures of a paper.

A layout, a YAML file, says which runs a row and a column are made of, by patterns of their folders' names::

    title: FID of fine-tuned checkpoints
    source: Spectral Regularization for Diffusion Models (arXiv 2603.02447), Table 1
    columns:
      VE: {metric: fid, runs: ve-*}
      VP: {metric: fid, runs: vp-*}
    rows:
      Baseline: {runs: "*-none-*", paper: {VE: 2.17, VP: 2.04}}
      Amplitude, weighted: {runs: "*-amplitude-weighted-*"}
      Best regularized: {best_of: "*weighted", paper: {VE: 2.13, VP: 2.03}}
"""

import json
import math
import shlex
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mmspec.data.meta import FILE as META
from mmspec.data.meta import DatasetMeta
from mmspec.documents import mended, read_json, read_yaml
from mmspec.drawing import tables
from mmspec.drawing.own_files import refuse_other
from mmspec.errors import InputError
from mmspec.files import replace_text
from mmspec.report.runs import MetricsFile, is_of_others
from mmspec.training.run import Run
from mmspec.typed import read

NOT_RUN = "not run here"
MOST_DIGITS = 17  # which tell any two floats apart


@dataclass(frozen=True)
class LayoutColumn:
    """A metric of evaluation.json, of the runs whose names match a pattern; so many digits after the point."""

    metric: str
    runs: str = "*"
    digits: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.digits <= MOST_DIGITS:
            raise ValueError(f"digits must be from 0 to {MOST_DIGITS}, not {self.digits}.")


@dataclass(frozen=True)
class LayoutRow:
    """The runs whose names match a pattern, or the best of the rows whose names match one, once all of them were run.

    ``paper`` holds the figures of the paper, by column.
    """

    runs: str | None = None
    best_of: str | None = None
    paper: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.runs is None) == (self.best_of is None):
            raise ValueError("a row has either runs or best_of, a pattern.")


@dataclass(frozen=True)
class Layout:
    """What is tabled."""

    title: str
    columns: Mapping[str, LayoutColumn]
    rows: Mapping[str, LayoutRow]
    source: str = ""


@dataclass(frozen=True)
class Cell:
    """What was measured, and what a paper says.

    Attributes:
        mean: over the runs; None where none was evaluated.
        deviation: standard deviation of a sample of runs; None of fewer than two.
        runs: how many.
        paper: the paper's figure, where it is known.
    """

    mean: float | None = None
    deviation: float | None = None
    runs: int = 0
    paper: float | None = None

    def __post_init__(self) -> None:
        if self.runs < 0 or (self.mean is None) != (self.runs == 0) or (self.deviation is None) != (self.runs < 2):
            raise ValueError("there is a mean of 1 run and more, and a deviation of 2 and more.")
        if not all(map(math.isfinite, (self.mean or 0.0, self.deviation or 0.0, self.paper or 0.0))):
            raise ValueError("figures must be finite numbers.")
        if (self.deviation or 0.0) < 0:
            raise ValueError(f"a deviation must be 0 or more, not {self.deviation}.")


@dataclass(frozen=True)
class ResultsTable:
    """Rows of cells, as table.json holds them.

    Attributes:
        title, source: of the layout.
        note: what a reader must know of these runs.
        columns: headings.
        digits: of each column, after the point.
        rows: name -> a cell a column.
        definitions: what the metrics are, of how many signals.
    """

    title: str
    source: str
    note: str
    columns: list[str]
    digits: list[int]
    rows: dict[str, list[Cell]]
    definitions: list[str]

    def __post_init__(self) -> None:
        if {len(self.digits), *map(len, self.rows.values())} != {len(self.columns)}:
            raise ValueError("digits and every row must be as many as columns.")
        if not all(0 <= digits <= MOST_DIGITS for digits in self.digits):
            raise ValueError(f"digits must be from 0 to {MOST_DIGITS}.")


def read_layout(file: Path) -> Layout:
    """Read a layout.

    Raises:
        InputError: if it is missing, no YAML, or says what a layout does not have.
    """
    try:
        content = read_yaml(file, mend="give the YAML file of a table's layout")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): give the YAML file of a table's layout.") from None
    if not all(isinstance(content.get(key), dict) for key in ("columns", "rows")):
        raise InputError(f"{file} is no layout of a table: expected title, columns and rows.")
    layout = read(Layout, content, str(file))
    for name, row in layout.rows.items():
        for column in row.paper:
            if column not in layout.columns:
                raise InputError(f"{file}: {name}: paper: there is no column {column}.")
    return layout


def gather(layout: Layout, folder: Path, note: str = "") -> ResultsTable:
    """The table of the runs in a folder; a run without an evaluation.json counts as not run.

    Raises:
        InputError: if the best of rows is asked for, and their evaluations do not say which values of the metric are
            better, if a metric is no finite number, or if an evaluation is of other samples than the run has now.
    """
    evaluations = {file.parent.name: _evaluation(file) for file in sorted(folder.glob("*/evaluation.json"))}
    rows: dict[str, list[Cell]] = {}
    for name, row in layout.rows.items():
        if row.runs is not None:
            rows[name] = [
                _cell(_values(evaluations, row.runs, column), row.paper.get(heading))
                for heading, column in layout.columns.items()
            ]
    better = _better(evaluations)
    for name, row in layout.rows.items():
        if row.best_of is not None:
            rivals = [cells for rival, cells in rows.items() if fnmatchcase(rival, row.best_of)]
            rows[name] = [
                _best([cells[i] for cells in rivals], column.metric, better, row.paper.get(heading))
                for i, (heading, column) in enumerate(layout.columns.items())
            ]
    return ResultsTable(
        title=layout.title,
        source=layout.source,
        note=note,
        columns=list(layout.columns),
        digits=[column.digits for column in layout.columns.values()],
        rows={name: rows[name] for name in layout.rows},
        definitions=_definitions(evaluations, layout, better),
    )


def write(table: ResultsTable, file: Path) -> None:
    """Write a table to be read, and beside it one for the report, ``.json``.

    Raises:
        InputError: if the first is to be ``.json`` too, or a file is there that is no such table.
    """
    beside = file.with_suffix(".json")
    if beside == file:
        raise InputError(f"{file} is for the report, beside the table to be read: give out=NAME.md.")
    refuse_other(beside, _is_json, "table")
    tables.write_markdown(file, markdown(table))
    replace_text(beside, json.dumps(asdict(table), indent=1) + "\n")


def read_table(file: Path) -> ResultsTable:
    """Read a table that `write` wrote.

    Raises:
        InputError: if the file is missing or another one.
    """
    mend = "make it with `mmspec table`"
    if not file.is_file():
        raise InputError(f"{file} is no file: {mend}.")
    content = read_json(file, mend=mend)
    with mended(mend):
        return read(ResultsTable, content, f"{file}:")


def headings(table: ResultsTable) -> list[str]:
    """Of all columns, each followed by the paper's where it has figures."""
    both = ([name, "paper"] if _has_paper(table, i) else [name] for i, name in enumerate(table.columns))
    return [heading for column in both for heading in column]


def texts(table: ResultsTable) -> Iterable[tuple[str, list[str]]]:
    """Each row's name, and its cells as text, under `headings`."""
    for name, cells in table.rows.items():
        row = []
        for i, (cell, digits) in enumerate(zip(cells, table.digits, strict=True)):
            row.append(_ours(cell, digits))
            if _has_paper(table, i):
                row.append("" if cell.paper is None else f"{cell.paper:.{digits}f}")
        yield name, row


def notes(table: ResultsTable) -> list[str]:
    """What stands below the table."""
    lines = ["Ours: mean ± standard deviation over runs with different seeds (so many runs)."]
    if table.source:
        lines.append(f"Paper: {table.source}; where its column is empty, the figure is not known here.")
    return [*lines, *([table.note] if table.note else []), *table.definitions]


def markdown(table: ResultsTable) -> str:
    """The table to read as it is, with notes below."""
    rows = [[name, *row] for name, row in texts(table)]
    return tables.markdown(tables.TextTable(table.title, ["", *headings(table)], rows), notes(table))


def _is_json(file: Path) -> bool:
    try:
        read_table(file)
    except InputError:
        return False
    return True


def _evaluation(file: Path) -> dict[str, Any]:
    content, run = read_json(file, MetricsFile), Run(file.parent)
    again = shlex.join(["mmspec", "evaluate", f"samples={run.folder}"])
    for name, value in content["metrics"].items():
        if not math.isfinite(value):
            raise InputError(f"{file}: {name} is {value}, of which there is no mean: run `{again}`, or move it away.")
    if (run.samples / META).is_file() and is_of_others(content, DatasetMeta.read(run.samples).sha256):
        raise InputError(f"{file} is of other samples than lie in {run.samples} now: run `{again}`.")
    return content


def _values(evaluations: Mapping[str, dict[str, Any]], pattern: str, column: LayoutColumn) -> list[float]:
    return [
        evaluation["metrics"][column.metric]
        for name, evaluation in evaluations.items()
        if fnmatchcase(name, pattern) and fnmatchcase(name, column.runs) and column.metric in evaluation["metrics"]
    ]


def _better(evaluations: Mapping[str, dict[str, Any]]) -> dict[str, str | None]:
    """Metric -> which values are better, by the evaluations that say it."""
    return {metric: better for e in evaluations.values() for metric, better in e.get("better", {}).items()}


def _definitions(
    evaluations: Mapping[str, dict[str, Any]], layout: Layout, better: Mapping[str, str | None]
) -> list[str]:
    """What the metrics are: several times where runs were evaluated differently, which a reader must see."""
    lines = []
    for column in layout.columns.values():
        metric, which = column.metric, better.get(column.metric)
        for evaluation in evaluations.values():
            if metric in evaluation["metrics"]:
                text = evaluation.get("definitions", {}).get(metric, "")
                if which and "better" in evaluation:  # an older one says it in its definition
                    text = f"{text.removesuffix('.')}; {which} is better."
                lines.append(f"{metric}: {text}")
    return list(dict.fromkeys(lines))


def _cell(values: list[float], paper: float | None) -> Cell:
    if not values:
        return Cell(paper=paper)
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Cell(statistics.fmean(values), deviation, len(values), paper)


def _best(cells: list[Cell], metric: str, better: Mapping[str, str | None], paper: float | None) -> Cell:
    if not cells or any(cell.mean is None for cell in cells):
        return Cell(paper=paper)
    if metric not in better:
        raise InputError(
            f"best_of: the evaluations do not say whether a lower or a higher {metric} is better, as an older mmspec "
            "wrote them: run `mmspec evaluate` of these runs again."
        )
    if better[metric] is None:
        raise InputError(f"best_of: {metric} has no best value: leave out the row, or the column of {metric}.")
    choose = max if better[metric] == "higher" else min
    best = choose(cells, key=lambda cell: cell.mean or 0.0)
    return Cell(best.mean, best.deviation, best.runs, paper)


def _ours(cell: Cell, digits: int) -> str:
    if cell.mean is None:
        return NOT_RUN
    spread = "" if cell.deviation is None else f" ± {cell.deviation:.{digits}f}"
    return f"{cell.mean:.{digits}f}{spread} ({cell.runs})"


def _has_paper(table: ResultsTable, column: int) -> bool:
    return any(cells[column].paper is not None for cells in table.rows.values())
