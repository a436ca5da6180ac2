"""Networks, denoisers and runs side by side: what they cost, and how good their samples are."""

from collections.abc import Sequence
from typing import Any

from mmspec.drawing.tables import TextTable
from mmspec.experiment.info import InfoOptions, facts
from mmspec.metrics.cost import short_count
from mmspec.report.runs import read_runs
from mmspec.training.run import Run

COSTS = {  # fact -> heading
    "parameters": "parameters",
    "macs": "MACs",
    "macs_with_attention": "with attention",
    "activation_bytes": "kept in training",
}
TIMES = {"latency_ms": "ms", "samples_per_second": "signals/s"}


def each_facts(options: Sequence[InfoOptions]) -> dict[str, dict[str, Any]]:
    """Name -> what `mmspec.experiment.info.facts` says of each, and of a run's evaluation ``metrics`` and ``units``.

    Raises:
        InputError: if one of them is not there, or cannot be read.
    """
    return {str(each.name): {**facts(each), **_evaluation(each)} for each in options}


def _evaluation(options: InfoOptions) -> dict[str, Any]:
    run = Run.at(options.from_)
    evaluation = read_runs([run.folder])[0].evaluation if run is not None else None
    return {} if evaluation is None else {"metrics": evaluation["metrics"], "units": evaluation.get("units", {})}


def side_by_side(found: dict[str, dict[str, Any]]) -> TextTable:
    """A row for each, a column for each fact that any of them has; ``-`` where one has none."""
    rows = {name: _row(facts) for name, facts in found.items()}
    headings = list(dict.fromkeys(heading for row in rows.values() for heading in row))
    texts = [[name, *(row.get(heading, "-") for heading in headings)] for name, row in rows.items()]
    return TextTable("Side by side", ["", *headings], texts)


def _row(facts: dict[str, Any]) -> dict[str, str]:
    row = {"of": "x".join(map(str, facts["shape"]))} if "shape" in facts else {}
    row |= {heading: short_count(facts[key]) for key, heading in COSTS.items() if key in facts}
    if "kept in training" in row:
        row["kept in training"] = f"{facts['activation_bytes'] / 2**20:,.0f} MiB"
    for device in [key for key in ("cpu", "cuda") if key in facts]:
        row |= {f"{unit} on {device}": f"{facts[device][key]:,.4g}" for key, unit in TIMES.items()}
    units = facts.get("units", {})
    called = {name: f"{name} ({units[name]})" if units.get(name) else name for name in facts.get("metrics", {})}
    return row | {called[name]: f"{value:.4g}" for name, value in facts.get("metrics", {}).items()}
