"""What the figures of a group of runs draw, read from evaluation.json and metrics.jsonl."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmspec.drawing.figure import Figure
from mmspec.report import figures
from mmspec.report.figures import Line
from mmspec.report.runs import ReportedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_POINTS = 300  # of a training curve; longer histories are averaged in so many bins
_BY_SIGMA, _SHARE = "train/loss_by_sigma/", "train/grad_share/"


def spectrum_figures(runs: Sequence[tuple[int, ReportedRun]]) -> list[Figure]:
    """Mean power spectra, and their differences from the real one; none without an evaluation."""
    spectra = [(colour, run, run.evaluation["spectrum"]) for colour, run in runs if run.evaluation]
    if not spectra:
        return []
    real = spectra[0][2]
    unit = real["unit"]
    lines = [Line("real", 0, real["frequency"], real["real"])]
    lines += [Line(run.name, colour, s["frequency"], s["generated"]) for colour, run, s in spectra]
    ratios = [
        Line(run.name, colour, s["frequency"], [_ratio(g, r) for g, r in zip(s["generated"], s["real"], strict=True)])
        for colour, run, s in spectra
    ]
    return [
        _figure(
            "Mean power spectra",
            figures.power_spectra(lines, unit),
            f"Mean over all signals at each frequency ({unit}).",
            _legend(lines),
        ),
        _figure(
            "Generated against real power",
            figures.spectral_differences(ratios, unit),
            "Below 0 dB generated signals lack energy, above it they have too much.",
            [(0, "real"), *_legend(ratios)],
        ),
    ]


def training_figures(runs: Sequence[tuple[int, ReportedRun]]) -> list[Figure]:
    """Loss by noise level, loss over steps, and the regularizers' gradient shares; only what was logged."""
    result = []
    early, late = ([line for colour, run in runs for line in _by_sigma(colour, run, end)] for end in (False, True))
    if late:
        drawing = figures.loss_by_sigma([*early, *late])
        caption = "Mean over the last quarter of the steps; pale: over the first."
        result.append(_figure("Training loss by noise level", drawing, caption, _legend(late)))
    losses = [line for colour, run in runs for line in _over_steps(colour, run, "train/loss", run.name)]
    if losses:
        caption = "All terms, weighted as they were optimized."
        result.append(_figure("Training loss", figures.loss_by_step(losses), caption, _legend(losses)))
    shares = [
        line
        for colour, run in runs
        for key in dict.fromkeys(key for entry in run.history for key in entry if key.startswith(_SHARE))
        for line in _over_steps(colour, run, key, f"{run.name}: {key.removeprefix(_SHARE)}")
    ]
    if shares:
        drawing = figures.gradient_share(shares)
        caption = "Norm of each regularizer's gradient as a share of the denoising gradient's."
        result.append(_figure("Gradient share of the regularizers", drawing, caption, _legend(shares)))
    return result


def _figure(title: str, drawing: "Drawing", caption: str, legend: Sequence[tuple[int, str]]) -> Figure:
    """A figure whose lines are told, too."""
    return Figure(title, drawing, caption, legend, f"{title}: {', '.join(label for _, label in legend)}")


def _legend(lines: Sequence[Line]) -> list[tuple[int, str]]:
    return list(dict.fromkeys((line.colour, line.label) for line in lines))


def _ratio(generated: float, real: float) -> float:
    return generated / real if real > 0 else math.nan


def _by_sigma(colour: int, run: ReportedRun, late: bool) -> list[Line]:
    quarter = max(1, len(run.history) // 4)
    entries = run.history[-quarter:] if late else run.history[:quarter]
    values: dict[float, list[float]] = {}
    for entry in entries:
        for key, value in entry.items():
            if key.startswith(_BY_SIGMA) and _finite(value):
                low, high = (float(edge) for edge in key.removeprefix(_BY_SIGMA).split("-"))
                values.setdefault(math.sqrt(low * high), []).append(value)
    sigmas = sorted(values)
    if not sigmas:
        return []
    return [Line(run.name, colour, sigmas, [sum(values[s]) / len(values[s]) for s in sigmas], faint=not late)]


def _over_steps(colour: int, run: ReportedRun, key: str, label: str) -> list[Line]:
    points = [(entry["step"], entry[key]) for entry in run.history if _finite(entry.get(key))]
    if len(points) < 2:
        return []
    bins = np.array_split(np.array(points, float), min(len(points), _POINTS))
    x, y = np.array([chunk.mean(0) for chunk in bins]).T
    return [Line(label, colour, x.tolist(), y.tolist())]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
