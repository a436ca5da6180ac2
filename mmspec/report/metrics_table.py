"""The table of metrics: the numbers of each run's evaluation.json, and nothing computed here."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmspec.report.runs import ReportedRun

_ARROWS = {"lower is better": "↓", "higher is better": "↑"}
_CAPITALS = ("mr", "stft", "fid", "kid", "fad", "kad", "ndb", "pesq", "stoi", "utmos")
_WORDS = {"frechet": "Fréchet", **{word: word.upper() for word in _CAPITALS}}


@dataclass(frozen=True)
class Column:
    """A metric; ``arrow`` says where good values lie: down, up, or nothing for a signed one, which has no best."""

    name: str
    definition: str

    @property
    def label(self) -> str:
        """The name in words."""
        words = " ".join(_WORDS.get(word, word) for word in self.name.split("_"))
        return words[0].upper() + words[1:]

    @property
    def arrow(self) -> str:
        """By what the definition says."""
        return next((arrow for key, arrow in _ARROWS.items() if key in self.definition), "")

    @property
    def unit(self) -> str:
        """ "dB", or nothing."""
        return "dB" if " in dB " in self.definition else ""


@dataclass(frozen=True)
class Row:
    """Whose metrics, over how many signals; ``values`` follow the columns, None where a metric is absent."""

    name: str
    colour: int
    count: int
    values: Sequence[float | None]
    best: Sequence[bool]


@dataclass(frozen=True)
class MetricsTable:
    """Rows of real data first, then runs."""

    columns: Sequence[Column]
    rows: Sequence[Row]


def metrics_table(runs: Sequence[tuple[int, ReportedRun]]) -> MetricsTable:
    """The table of runs, each with its colour; runs without an evaluation are left out."""
    evaluated = [(colour, run, run.evaluation) for colour, run in runs if run.evaluation]
    definitions: dict[str, str] = {}
    for _, _, evaluation in evaluated:
        for name in evaluation["metrics"]:
            definitions.setdefault(name, evaluation["definitions"].get(name, ""))
    columns = [Column(name, text) for name, text in definitions.items()]
    real = {}
    for _, _, evaluation in evaluated:
        if other := evaluation.get("real_vs_real"):
            real[other["path"], other["count"]] = other["metrics"]
    best = {column.name: _best(column, [evaluation["metrics"] for _, _, evaluation in evaluated]) for column in columns}
    rows = [
        Row("real (training split)", 0, count, [metrics.get(c.name) for c in columns], [False] * len(columns))
        for (_, count), metrics in real.items()
    ]
    for colour, run, evaluation in evaluated:
        values = [evaluation["metrics"].get(column.name) for column in columns]
        marks = [value is not None and value == best[c.name] for c, value in zip(columns, values, strict=True)]
        rows.append(Row(run.name, colour, evaluation["samples"]["count"], values, marks))
    return MetricsTable(columns, rows)


def short(value: float) -> str:
    """Three digits, for reading; the page carries the whole number beside it."""
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}").replace("-", "−")


def _best(column: Column, metrics: Sequence[dict[str, float]]) -> float | None:
    """The best value of a column; None where fewer than two runs compete, or there is no best."""
    values = [of_run[column.name] for of_run in metrics if column.name in of_run]
    if len(values) < 2 or not column.arrow:
        return None
    return min(values) if column.arrow == "↓" else max(values)
