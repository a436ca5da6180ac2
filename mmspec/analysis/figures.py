"""Drawings of what was measured: arrays in, a matplotlib figure out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmspec.report.drawing import INK, canvas, line_colour, shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray


def magnitude_maps(maps: Mapping[str, Array], highest: int = 12) -> "Figure":
    """DFT magnitudes of many signals, a panel a set: signals downwards, frequency to the right.

    Args:
        maps: name -> ``[N, frequencies]``, frequencies from 0 cycles; sets are drawn in the colours 0, 1, ...
        highest: frequency shown.
    """
    figure, panels = canvas(1, len(maps), (6.2, 3.4), sharey=True)
    for index, (axes, (name, values)) in enumerate(zip(panels, maps.items(), strict=True)):
        shown = np.asarray(values)[:, : highest + 1]
        extent = (-0.5, shown.shape[1] - 0.5, len(shown), 0)
        axes.imshow(shown, aspect="auto", cmap=shades(index), vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axes.set(xlabel="cycles per signal", xticks=range(0, shown.shape[1], 3), title=name)
        axes.title.set_fontsize(10)
        axes.grid(visible=False)
    panels[0].set_ylabel("sample")
    return figure


def mean_magnitudes(means: Mapping[str, Array], highest: int = 12) -> "Figure":
    """Mean DFT magnitudes as bars side by side.

    Args:
        means: name -> ``[frequencies]``, frequencies from 0 cycles; sets are drawn in the colours 0, 1, ...
        highest: frequency shown.
    """
    figure, (axes,) = canvas()
    width = 0.8 / len(means)
    for index, values in enumerate(means.values()):
        shown = np.asarray(values)[: highest + 1]
        places = np.arange(len(shown)) + (index - (len(means) - 1) / 2) * width
        axes.bar(places, shown, width, color=line_colour(index))
    axes.set(xlabel="cycles per signal", ylabel="mean DFT magnitude", xticks=range(0, highest + 1, 2))
    return figure


def shares(values: Mapping[str, Sequence[float]], truth: float, label: str) -> "Figure":
    """A share a seed, a row a model, and the share that is right as a line.

    Args:
        values: model -> its shares in [0, 1].
        truth: of the real signals.
        label: of the axis.
    """
    figure, (axes,) = canvas(size=(6.2, 0.8 + 0.42 * len(values)))
    axes.axvline(truth, color=line_colour(0), linewidth=1.2)
    for row, of_model in enumerate(values.values()):
        axes.plot([np.mean(of_model)], [row], marker="|", markersize=16, color=INK, linestyle="none")
        axes.plot(of_model, [row] * len(of_model), marker="o", markersize=5, color=line_colour(1), linestyle="none")
    axes.set(xlabel=label, yticks=range(len(values)), yticklabels=list(values))
    axes.set_xlim(-0.005, 1.15 * max(truth, *(share for row in values.values() for share in row)))
    axes.set_ylim(len(values) - 0.5, -0.5)
    return figure
