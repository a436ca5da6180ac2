"""The table of metrics: the numbers of each run's evaluation.json, and nothing computed here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
        """The name in words."""
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
    """Rows of real data first, then runs."""

    columns: Sequence[MetricColumn]
    rows: Sequence[MetricRow]


def metrics_table(runs: Sequence[tuple[int, ReportedRun]]) -> MetricsTable:
    """The table of runs, each with its colour; runs without an evaluation are left out."""
    evaluated = [(colour, run, run.evaluation) for colour, run in runs if run.evaluation]
    columns = _columns([evaluation for _, _, evaluation in evaluated])
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
    return MetricsTable(columns, rows)


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
