"""Drawings of what was measured: arrays in, a matplotlib figure out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmspec.drawing.style import INK, MUTED, canvas, lack_and_excess, line_colour, restrain, set_scale, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


def wiener_filters(frequency: Array, gains: Mapping[float, Array]) -> "Figure":
    """Optimal linear filters.

    Args:
        frequency: ``[bins]``, above 0.
        gains: abar -> ``[bins]``; drawn in the colours 1, 2, ...
    """
    figure, (axes,) = canvas()
    axes.set(xlabel="frequency (cycles per signal)", ylabel="gain")
    set_scale(axes, "x", "log")
    for colour, values in enumerate(gains.values(), start=1):
        axes.plot(frequency, values, color=line_colour(colour), linewidth=1.8)
    return figure


def measured_filters(
    frequency: Array, measured: Mapping[float, Array], predicted: Mapping[float, Array], unit: str
) -> "Figure":
    """What a denoiser lets pass, beside what the optimal linear filter would, which is pale.

    Args:
        frequency: ``[bins]``; 0 is left out.
        measured, predicted: sigma -> ``[bins]``; drawn in the colours 1, 2, ...
        unit: of the frequency.
    """
    figure, (axes,) = canvas()
    axes.set(xlabel=f"frequency ({unit.replace('/', ' per ')})", ylabel="gain")
    set_scale(axes, "x", "log")
    shown = np.asarray(frequency) > 0
    for colour, sigma in enumerate(measured, start=1):
        for values, width, alpha in ((predicted[sigma], 4.0, 0.3), (measured[sigma], 1.5, 1.0)):
            x, y = np.asarray(frequency)[shown], np.asarray(values)[shown]
            axes.plot(x, y, color=line_colour(colour), linewidth=width, alpha=alpha)
    return figure


def predictions(
    signals: Array, sigmas: Sequence[float], frequency: Array, power: Array, real: Array | None, unit: str
) -> "Figure":
    """One signal as a denoiser predicts it along a walk, above the mean power spectra of many such predictions.

    Args:
        signals: the predictions of one signal, ``[steps, C, *spatial]`` in [-1, 1].
        sigmas: of the steps.
        frequency: ``[bins]``; 0 is left out.
        power: mean over signals, ``[steps, bins]``; drawn in the colours 1, 2, ...
        real: of real signals, ``[bins]``, in the colour 0; or None.
        unit: of the frequency.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, len(signals), height_ratios=(1, 2.4))
    for step, (signal, sigma) in enumerate(zip(signals, sigmas, strict=True)):
        axes = figure.add_subplot(grid[0, step])
        _show(axes, signal, step + 1)
        axes.set_title(f"σ = {sigma:.2g}", fontsize=9, color=line_colour(step + 1))
    axes = figure.add_subplot(grid[1, :])
    restrain(axes)
    axes.set(xlabel=f"frequency ({unit.replace('/', ' per ')})", ylabel="mean power (dB)")
    set_scale(axes, "x", "log")
    rows = [*([] if real is None else [(0, real)]), *enumerate(power, start=1)]
    shown = np.asarray(frequency) > 0
    for colour, values in rows:
        decibels = 10 * np.log10(np.maximum(np.asarray(values)[shown], 1e-12))
        axes.plot(np.asarray(frequency)[shown], decibels, color=line_colour(colour), linewidth=1.6)
    return figure


def punished(signals: Mapping[str, Array], values: Mapping[str, float], label: str) -> "Figure":
    """A signal that is wrong in several ways, and a bar below each.

    Args:
        signals: way -> ``[C, *spatial]`` in [-1, 1].
        values: way -> height of its bar.
        label: of the heights.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.4), layout="constrained")
    grid = figure.add_gridspec(2, len(signals), height_ratios=(1, 1.6))
    for column, (name, signal) in enumerate(signals.items()):
        axes = figure.add_subplot(grid[0, column])
        _show(axes, signal, 1)
        axes.set_title(name, fontsize=9, color=INK)
    axes = figure.add_subplot(grid[1, :])
    restrain(axes)
    axes.axhline(1, color=line_colour(0), linewidth=1.2)
    bars = axes.bar(range(len(signals)), [values[name] for name in signals], 0.5, color=line_colour(1))
    axes.bar_label(bars, fmt="%.2f", color=INK, fontsize=9, padding=2)
    axes.set(ylabel=label, xticks=[], xlim=(-0.5, len(signals) - 0.5))
    axes.margins(y=0.12)
    return figure


def gate_values(sigmas: Sequence[float], gates: Mapping[str, Array]) -> "Figure":
    """Gates of all resampling layers along a walk, a panel a layer, a line a sub-band.

    Args:
        sigmas: noise level of each call, descending; time runs to the right.
        gates: layer -> ``[calls, bands]``, bands in the order of `mmspec.spectral.dwt`, in the colours 1, 2, ...
    """
    columns = 1 if len(gates) == 1 else 2 if len(gates) <= 4 else 3
    rows = -(-len(gates) // columns)
    figure, panels = canvas(rows, columns, (6.2, 0.4 + 2.2 * rows), sharey=True)
    for axes, (name, values) in zip(panels, gates.items(), strict=False):
        set_scale(axes, "x", "log", each=(1,))
        for band, line in enumerate(np.asarray(values).T):
            axes.plot(sigmas, line, color=line_colour(band + 1), linewidth=1.6)
        axes.set(xlim=(max(sigmas), min(sigmas)), ylim=(0, 1), xlabel="noise level σ")
        axes.set_title(name, fontsize=9)
    for axes in panels[::columns]:
        axes.set_ylabel("gate")
    for axes in panels[len(gates) :]:
        axes.set_visible(False)
    return figure


def differences(samples: Mapping[str, Array], decibels: Mapping[str, Array], label: str, step: float = 1.0) -> "Figure":
    """Samples of several sets, above the difference in DFT amplitude of each to the first, the real one.

    Args:
        samples: set -> ``[N, C, *spatial]`` in [-1, 1]; the first is real.
        decibels: set, all but the first -> ``[*spatial]``, frequency 0 in the middle.
        label: of an axis of frequencies, with their unit.
        step: of such an axis, of waveforms.
    """
    height = 1.6 + 8.4 / len(samples) if _is_picture(next(iter(samples.values()))[0]) else 5.0
    figure, panels = canvas(2, len(samples), (6.2, min(height, 5.0)))
    limit = max(float(np.abs(values).max()) for values in decibels.values())
    for colour, (axes, (name, signals)) in enumerate(zip(panels, samples.items(), strict=False)):
        _show(axes, _mosaic(signals), colour)
        axes.set_title(name, fontsize=7 if len(samples) > 3 else 9)
    below = panels[len(samples) :]
    below[0].set_visible(False)
    image = None
    for colour, (axes, values) in enumerate(zip(below[1:], decibels.values(), strict=True), start=1):
        middle = [size // 2 for size in values.shape]
        if values.ndim == 1:
            frequency = step * np.arange(len(values) - middle[0])
            axes.plot(frequency, values[middle[0] :], color=line_colour(colour), linewidth=1.2)
            axes.axhline(0, color=line_colour(0), linewidth=1.2)
            axes.set(xlabel=label, ylabel="difference (dB)", ylim=(-limit, limit))
            continue
        (top, left), (bottom, right) = middle, [size - half for size, half in zip(values.shape, middle, strict=True)]
        extent = (-left - 0.5, right - 0.5, bottom - 0.5, -top - 0.5)
        image = axes.imshow(
            values, cmap=lack_and_excess(), vmin=-limit, vmax=limit, extent=extent, interpolation="nearest"
        )
        axes.set(xlabel=label, ylabel=label if colour == 1 else "")
        axes.grid(visible=False)
    if image is not None:
        bar = figure.colorbar(image, ax=below[1:], label="difference (dB)", shrink=0.8)
        bar.outline.set(visible=False)
        bar.ax.tick_params(color=MUTED, labelcolor=MUTED)
        bar.ax.yaxis.label.set_color(INK)
    return figure


def _is_picture(signal: Array) -> bool:
    return signal.ndim == 3


def _show(axes: "Axes", signal: Array, colour: int) -> None:
    """A picture ``[C, H, W]``, or a waveform ``[C, T]`` as a line, without scales."""
    if _is_picture(signal):
        pixels = np.clip((np.moveaxis(signal, 0, -1) + 1) / 2, 0, 1)
        pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]
        axes.imshow(pixels, interpolation="nearest")
    else:
        axes.plot(signal.mean(0), color=line_colour(colour), linewidth=0.6)
        axes.set_ylim(-1, 1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def _mosaic(signals: Array) -> Array:
    """The first pictures in a square, ``[C, H, W]``; or the first waveform ``[C, T]``."""
    first: Array = signals[0]
    if not _is_picture(first):
        return first
    side = min(4, int(len(signals) ** 0.5))
    rows = [np.concatenate(list(signals[row * side : (row + 1) * side]), axis=2) for row in range(side)]
    return np.concatenate(rows, axis=1)
