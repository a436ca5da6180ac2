"""The report: one HTML file that needs nothing beside it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.report.curves import Figure, spectrum_figures, training_figures
from mmspec.report.drawing import LINES
from mmspec.report.metrics_table import MetricsTable, metrics_table, short
from mmspec.report.runs import Run
from mmspec.report.samples import Gallery, gallery
from mmspec.report.table import ResultsTable, headings, notes, texts

# Keys that tell runs apart by name alone.
_OWN_KEYS = ("run_dir", "resume")


@dataclass(frozen=True)
class Group:
    """Runs on one set of data: a section of the page."""

    anchor: str
    heading: str
    source: str
    runs: Sequence[tuple[int, Run]]
    galleries: Sequence[Gallery]
    table: MetricsTable
    warnings: Sequence[str]
    spectra: Sequence[Figure]
    training: Sequence[Figure]
    differences: Mapping[str, Sequence[str]]


def build(
    runs: Sequence[Run],
    out: Path,
    title: str,
    *,
    command: str,
    machine: str,
    version: str,
    max_samples: int | None,
    table: ResultsTable | None = None,
    figures: Sequence[Figure] = (),
) -> None:
    """Write the page.

    Args:
        runs: in the order in which they are shown.
        out: the HTML file; it is replaced at once or not at all.
        title: heading of the page.
        command: that makes it.
        machine: where it was made.
        version: of mmspec.
        max_samples: shown of each set; None for 64 pictures or 6 clips.
        table: of the experiment that the runs are part of, shown first.
        figures: of these runs, shown next.
    """
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        by_data.setdefault(str(Path(run.reference).resolve()) if run.reference else "", []).append(run)
    groups = [_group(f"data-{i}", members, max_samples) for i, members in enumerate(by_data.values(), start=1)]
    environment = Environment(
        loader=PackageLoader("mmspec.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    results = table and {"table": table, "headings": headings(table), "rows": list(texts(table)), "notes": notes(table)}
    html = environment.get_template("page.html").render(
        title=title,
        results=results,
        figures=figures,
        groups=groups,
        command=command,
        machine=machine,
        version=version,
        made=datetime.now(UTC),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}")
    beside.write_text(html)
    os.replace(beside, out)


def _group(anchor: str, members: Sequence[Run], max_samples: int | None) -> Group:
    runs = [(1 + i % (len(LINES) - 1), run) for i, run in enumerate(members)]
    reference, note = _open_reference(members[0].reference)
    some = reference or next((run.samples for run in members if run.samples), None)
    galleries = [gallery(reference, "real", 0, ["held-out data"], max_samples)] if reference else []
    galleries += [
        gallery(run.samples, run.name, colour, _made(run.sampling), max_samples) for colour, run in runs if run.samples
    ]
    warnings = [
        f"{run.name}: {warning}" for run in members if run.evaluation for warning in run.evaluation.get("warnings", [])
    ]
    return Group(
        anchor=anchor,
        heading=_describe(some) if some else "No data yet",
        source=some.meta.source if some else "",
        runs=runs,
        galleries=galleries,
        table=metrics_table(runs),
        warnings=[*note, *warnings],
        spectra=spectrum_figures(runs),
        training=training_figures(runs),
        differences=_differences(members),
    )


def _open_reference(path: str | None) -> tuple[PackedDataset | None, list[str]]:
    if path is None:
        return None, []
    try:
        return PackedDataset(path), []
    except InputError as error:
        return None, [f"Real samples are not shown: {error}"]


def _describe(dataset: PackedDataset) -> str:
    channels, *spatial = dataset.meta.shape
    rate = dataset.meta.sample_rate
    if rate is None:
        colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
        return f"Pictures, {' × '.join(map(str, spatial))}, {colour}"
    width = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    return f"Audio, {rate / 1000:g} kHz, {spatial[0] / rate:.3g} s, {width}"


def _made(sampling: Mapping[str, Any]) -> list[str]:
    """How samples were made, from sample.json."""
    guidance = sampling.get("guidance")
    return [
        *([str(sampling["sampler"]["type"])] if "sampler" in sampling else []),
        *([f"{sampling['steps']} sampling steps"] if "steps" in sampling else []),
        *([f"guidance {guidance:g}"] if guidance is not None else []),
    ]


def _differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Configuration keys whose values differ between runs -> the value in each."""
    keys = dict.fromkeys(key for run in runs for key in run.config if key not in _OWN_KEYS)
    values = {key: [_written(run.config.get(key, {})) for run in runs] for key in keys}
    return {
        key: row
        for key, row in values.items()
        if len({value for run, value in zip(runs, row, strict=True) if run.config}) > 1
    }


def _written(value: Any) -> str:
    """A value as a config file has it; a dash where there is none."""
    return "–" if value == {} else json.dumps(value, ensure_ascii=False).strip('"')
