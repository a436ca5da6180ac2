"""Plots as inline SVG that takes its colours and font from the page, so that one file serves light and dark."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours in which matplotlib draws -> the style sheet's variables. Line 0 is real data, line n the n-th run.
_INK, _MUTED, _GRID = "#000001", "#000002", "#000003"
LINE_COLOURS = 9


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        label: whose it is.
        colour: 0 for real data, 1 to 8 for runs.
        x, y: its points; what is not finite is left out.
        faint: draw it thin and pale, for context.
    """

    label: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False


def power_spectra(lines: Sequence[Line], unit: str) -> Markup:
    """Mean power in dB over frequency; ``y`` is power."""
    lines = [_decibels(line) for line in lines]
    return _plot(lines, "Mean power spectra", *_frequency_axis(unit), ylabel="power (dB)")


def spectral_differences(lines: Sequence[Line], unit: str) -> Markup:
    """Generated minus real power in dB over frequency; ``y`` is the ratio of powers."""
    lines = [_decibels(line) for line in lines]
    title, ylabel = "Generated against real power", "generated − real (dB)"
    return _plot(lines, title, *_frequency_axis(unit), ylabel=ylabel, zero=True)


def loss_by_sigma(lines: Sequence[Line]) -> Markup:
    """Training loss over the noise level sigma."""
    return _plot(lines, "Training loss by noise level", "noise level σ", "log", ylabel="loss", yscale="log", marker="o")


def loss_by_step(lines: Sequence[Line]) -> Markup:
    """Training loss over steps."""
    return _plot(lines, "Training loss", "step", ylabel="loss", yscale="log")


def gradient_share(lines: Sequence[Line]) -> Markup:
    """Share of a regularizer's gradient over steps."""
    return _plot(lines, "Gradient share of the regularizers", "step", ylabel="share of the gradient", zero=True)


def _frequency_axis(unit: str) -> tuple[str, str]:
    return (f"frequency ({unit.replace('/', ' per ')})", "log") if unit != "Hz" else ("frequency (Hz)", "linear")


def _decibels(line: Line) -> Line:
    x, power = np.asarray(line.x, float), np.asarray(line.y, float)
    shown = (x > 0) & (power > 0)
    return Line(line.label, line.colour, x[shown].tolist(), (10 * np.log10(power[shown])).tolist(), line.faint)


def _plot(
    lines: Sequence[Line],
    title: str,
    xlabel: str,
    xscale: str = "linear",
    *,
    ylabel: str,
    yscale: str = "linear",
    zero: bool = False,
    marker: str | None = None,
) -> Markup:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    description = f"{title}: {', '.join(dict.fromkeys(line.label for line in lines))}"
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": description, "font.size": 11}):
        figure = Figure(figsize=(6.2, 3.7), layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=xlabel, ylabel=ylabel)
        _scale(axes, "x", xscale)
        _scale(axes, "y", yscale)
        if zero:
            axes.axhline(0, color=_line_colour(0), linewidth=1.2)
        for line in lines:
            axes.plot(
                line.x,
                line.y,
                color=_line_colour(line.colour),
                linewidth=1.0 if line.faint else 1.8,
                alpha=0.4 if line.faint else 1,
                marker=None if line.faint else marker,
                markersize=4,
                solid_joinstyle="round",
            )
        _restrain(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _inline(buffer.getvalue(), description)


def _scale(axes: "Axes", direction: str, scale: str) -> None:
    """Plain numbers at 1, 2 and 5 of each decade instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if scale == "log":
        getattr(axes, f"set_{direction}scale")("log")
        axis = getattr(axes, f"{direction}axis")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _restrain(axes: "Axes") -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", color=_MUTED, labelcolor=_MUTED, left=False, labelsize=10)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.margins(x=0.01)


def _line_colour(index: int) -> str:
    return f"#0000f{index % LINE_COLOURS}"


def _inline(svg: str, description: str) -> Markup:
    opening, body = svg[svg.index("<svg") :].split(">", 1)
    opening = re.sub(r'\s(xmlns(:xlink)?|version|width|height)="[^"]*"', "", opening)
    opening = opening.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # such names repeat from plot to plot
    body = re.sub(r"font-family: [^;\"]+", "font-family: var(--sans)", body)
    for colour, variable in ((_INK, "--ink"), (_MUTED, "--muted"), (_GRID, "--rule")):
        body = body.replace(colour, f"var({variable})")
    body = re.sub(r"#0000f(\d)", r"var(--line-\1)", body)
    return Markup(f"{opening}>{body}")
