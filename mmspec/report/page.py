"""The report: one HTML file that needs nothing beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmspec.data import StoredDataset, open_dataset
from mmspec.drawing.figure import Figure
from mmspec.drawing.pages import write_page
from mmspec.drawing.style import LINES
from mmspec.errors import InputError
from mmspec.report.curves import spectrum_figures, training_figures
from mmspec.report.metrics_table import MetricsTable, metrics_tables, short
from mmspec.report.runs import ReportedRun
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
    runs: Sequence[tuple[int, ReportedRun]]
    galleries: Sequence[Gallery]
    tables: Sequence[MetricsTable]
    warnings: Sequence[str]
    spectra: Sequence[Figure]
    training: Sequence[Figure]
    differences: Mapping[str, Sequence[str]]


def build(
    runs: Sequence[ReportedRun],
    out: Path,
    title: str,
    *,
    max_samples: int | None,
    lead: str | None = None,
    verifications: Mapping[str, Sequence[str]] = MappingProxyType({}),
    table: ResultsTable | None = None,
    figures: Sequence[Figure] = (),
) -> None:
    """Write the page.

    Args:
        runs: in the order in which they are shown.
        out: the HTML file; it is replaced at once or not at all.
        title: heading of the page.
        max_samples: shown of each set; None for 64 pictures or 6 clips.
        lead: what to see, in words; None for what a report is.
        verifications: name -> what ``mmspec verify`` found, shown above the runs.
        table: of the experiment that the runs are part of, shown first.
        figures: of these runs, shown next.

    Raises:
        InputError: if a file is there that is no page of mmspec.
    """
    by_data: dict[str, list[ReportedRun]] = {}
    for run in runs:
        by_data.setdefault(str(Path(run.reference).resolve()) if run.reference else "", []).append(run)
    groups = [_group(f"data-{i}", members, max_samples) for i, members in enumerate(by_data.values(), start=1)]
    results = table and {"table": table, "headings": headings(table), "rows": list(texts(table)), "notes": notes(table)}
    above = {"lead": lead, "verifications": verifications, "results": results, "figures": figures}
    write_page(out, "page.html", title, **above, groups=groups, short=short)


def _group(anchor: str, members: Sequence[ReportedRun], max_samples: int | None) -> Group:
    runs = [(1 + i % (len(LINES) - 1), run) for i, run in enumerate(members)]
    reference, note = _open_reference(members[0].reference)
    some = reference or next((run.samples for run in members if run.samples), None)
    galleries = [gallery(reference, "real", 0, ["held-out data"], max_samples)] if reference else []
    galleries += [
        gallery(run.samples, run.name, colour, _made(run), max_samples) for colour, run in runs if run.samples
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
        tables=metrics_tables(runs),
        warnings=[*note, *warnings],
        spectra=spectrum_figures(runs),
        training=training_figures(runs),
        differences=_differences(members),
    )


def _open_reference(path: str | None) -> tuple[StoredDataset | None, list[str]]:
    if path is None:
        return None, []
    try:
        return open_dataset(path), []
    except InputError as error:
        return None, [f"Real samples are not shown: {error}"]


def _describe(dataset: StoredDataset) -> str:
    channels, *spatial = dataset.meta.shape
    rate = dataset.meta.sample_rate
    if rate is None:
        colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
        return f"Pictures, {' × '.join(map(str, spatial))}, {colour}"
    width = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    return f"Audio, {rate / 1000:g} kHz, {spatial[0] / rate:.3g} s, {width}"


def _made(run: ReportedRun) -> list[str]:
    """How samples were made, from sample.json."""
    sampling = run.sampling
    guidance = sampling.get("guidance")
    return [
        *([str(sampling["sampler"]["type"])] if "sampler" in sampling else []),
        *([f"{sampling['steps']} sampling steps"] if "steps" in sampling else []),
        *([f"guidance {guidance:g}"] if guidance else []),
    ]


def _differences(runs: Sequence[ReportedRun]) -> dict[str, list[str]]:
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
