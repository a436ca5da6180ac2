"""Tables of metrics: the numbers of each run's evaluation.json, and nothing computed here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmspec.metrics.octave_bias import BIAS
from mmspec.report.runs import ReportedRun

_ARROWS = {"lower": "↓", "higher": "↑", None: ""}
_CAPITALS = ("mr", "stft", "fid", "kid", "fad", "kad", "ndb", "pesq", "stoi", "utmos")
_WORDS = {"frechet": "Fréchet", **{word: word.upper() for word in _CAPITALS}}


@dataclass(frozen=True)
class MetricColumn:
    """A metric as evaluation.json describes it.

    Attributes:
        name, definition, unit: of the metric.
        better: "lower" or "higher" values; None of a signed metric, and where an older evaluation does not say.
    """

    name: str
    definition: str
    unit: str = ""
    better: str | None = None

    @property
    def label(self) -> str:
        """The name in words; of an octave's bias, the octave."""
        if self.name.startswith(f"{BIAS}_"):
            return self.definition.partition(":")[0]
        words = " ".join(_WORDS.get(word, word) for word in self.name.split("_"))
        return words[0].upper() + words[1:]

    @property
    def arrow(self) -> str:
        """Where good values lie: down, up, or nothing where there is no best."""
        return _ARROWS[self.better]


@dataclass(frozen=True)
class MetricRow:
    """Whose metrics, over how many signals; ``values`` follow the columns, None where a metric is absent."""

    name: str
    colour: int
    count: int
    values: Sequence[float | None]
    best: Sequence[bool]


@dataclass(frozen=True)
class MetricsTable:
    """Under a title, rows of real data first, then runs."""

    title: str
    columns: Sequence[MetricColumn]
    rows: Sequence[MetricRow]


def metrics_tables(runs: Sequence[tuple[int, ReportedRun]]) -> list[MetricsTable]:
    """Of runs, each with its colour: the metrics, and the bias of each octave where evaluations have it.

    Runs without an evaluation are left out, and tables without a column.
    """
    evaluated = [(colour, run, run.evaluation) for colour, run in runs if run.evaluation]
    columns: dict[str, list[MetricColumn]] = {"Metrics": [], "Bias by octave": []}
    for column in _columns([evaluation for _, _, evaluation in evaluated]):
        columns["Bias by octave" if column.name.startswith(f"{BIAS}_") else "Metrics"].append(column)
    return [_table(title, of_title, evaluated) for title, of_title in columns.items() if of_title]


def _table(
    title: str, columns: Sequence[MetricColumn], evaluated: Sequence[tuple[int, ReportedRun, dict[str, Any]]]
) -> MetricsTable:
    real = {}
    for _, _, evaluation in evaluated:
        if other := evaluation.get("real_vs_real"):
            real[other["path"], other["count"]] = other["metrics"]
    best = {column.name: _best(column, [evaluation["metrics"] for _, _, evaluation in evaluated]) for column in columns}
    rows = [
        MetricRow("real (training split)", 0, count, [metrics.get(c.name) for c in columns], [False] * len(columns))
        for (_, count), metrics in real.items()
    ]
    for colour, run, evaluation in evaluated:
        values = [evaluation["metrics"].get(column.name) for column in columns]
        marks = [value is not None and value == best[c.name] for c, value in zip(columns, values, strict=True)]
        rows.append(MetricRow(run.name, colour, evaluation["samples"]["count"], values, marks))
    return MetricsTable(title, columns, rows)


def short(value: float) -> str:
    """Three digits, for reading; the page carries the whole number beside it."""
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}").replace("-", "−")


def _columns(evaluations: Sequence[dict[str, Any]]) -> list[MetricColumn]:
    """A column a metric, as the first evaluation that has it describes it."""
    columns: dict[str, MetricColumn] = {}
    for evaluation in evaluations:
        definitions, units, better = (evaluation.get(key, {}) for key in ("definitions", "units", "better"))
        for name in evaluation["metrics"]:
            column = MetricColumn(name, definitions.get(name, ""), units.get(name, ""), better.get(name))
            columns.setdefault(name, column)
    return list(columns.values())


def _best(column: MetricColumn, metrics: Sequence[dict[str, float]]) -> float | None:
    """The best value of a column; None where fewer than two runs compete, or there is no best."""
    values = [of_run[column.name] for of_run in metrics if column.name in of_run]
    if len(values) < 2 or column.better is None:
        return None
    return min(values) if column.better == "lower" else max(values)
