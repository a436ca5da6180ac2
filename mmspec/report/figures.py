"""The report's plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmspec.drawing.style import canvas, line_colour, set_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def power_spectra(lines: Sequence[Line], unit: str) -> "Figure":
    """Mean power in dB over frequency; ``y`` is power."""
    lines = [_decibels(line) for line in lines]
    return _plot(lines, *_frequency_axis(unit), ylabel="power (dB)")


def spectral_differences(lines: Sequence[Line], unit: str) -> "Figure":
    """Generated minus real power in dB over frequency; ``y`` is the ratio of powers."""
    lines = [_decibels(line) for line in lines]
    return _plot(lines, *_frequency_axis(unit), ylabel="generated − real (dB)", zero=True)


def loss_by_sigma(lines: Sequence[Line]) -> "Figure":
    """Training loss over the noise level sigma."""
    figure = _plot(lines, "noise level σ", "log", ylabel="loss", yscale="log", marker="o")
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    if high > 1000 * low:  # numbers at 2 and 5, too, would touch
        set_scale(axes, "x", "log", each=(1,))
    return figure


def loss_by_step(lines: Sequence[Line]) -> "Figure":
    """Training loss over steps."""
    return _plot(lines, "step", ylabel="loss", yscale="log")


def gradient_share(lines: Sequence[Line]) -> "Figure":
    """Share of a regularizer's gradient over steps."""
    return _plot(lines, "step", ylabel="share of the gradient", zero=True)


def _frequency_axis(unit: str) -> tuple[str, str]:
    return (f"frequency ({unit.replace('/', ' per ')})", "log") if unit != "Hz" else ("frequency (Hz)", "linear")


def _decibels(line: Line) -> Line:
    x, power = np.asarray(line.x, float), np.asarray(line.y, float)
    shown = (x > 0) & (power > 0)
    return Line(line.label, line.colour, x[shown].tolist(), (10 * np.log10(power[shown])).tolist(), line.faint)


def _plot(
    lines: Sequence[Line],
    xlabel: str,
    xscale: str = "linear",
    *,
    ylabel: str,
    yscale: str = "linear",
    zero: bool = False,
    marker: str | None = None,
) -> "Figure":
    figure, (axes,) = canvas()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    set_scale(axes, "x", xscale)
    set_scale(axes, "y", yscale)
    if zero:
        axes.axhline(0, color=line_colour(0), linewidth=1.2)
    for line in lines:
        axes.plot(
            line.x,
            line.y,
            color=line_colour(line.colour),
            linewidth=1.0 if line.faint else 1.8,
            alpha=0.4 if line.faint else 1,
            marker=None if line.faint else marker,
            markersize=4,
            solid_joinstyle="round",
        )
    return figure
