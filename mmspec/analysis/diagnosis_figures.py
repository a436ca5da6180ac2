"""The figures of a diagnosis: octaves by noise level, where training looks, and spectra beside real ones."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmspec.analysis.report_card_figures import bias_by_octave
from mmspec.diagnosis.denoising import Bias
from mmspec.diagnosis.findings import MATTERS_DB, Axis, Denoising, SpectrumBias, above, below
from mmspec.diagnosis.loss import LossShares
from mmspec.drawing.figure import Figure
from mmspec.drawing.style import INK, MUTED, canvas, lack_and_excess, line_colour, shades
from mmspec.metrics.report_card import ReportCard

LEGEND = [(1, "lack"), (2, "excess")]
MARKED = f"Numbers: {MATTERS_DB:g} dB or more, and the interval leaves 0 out; dots: noise hides the octave."
BIAS = "Output over what the best gain makes of it."
OVER_WIENER = "Output over that of the best linear filter, of which the best denoiser has at least the energy."


def diagnosis_figures(
    denoising: Denoising,
    decoded: tuple[Axis, Bias] | None,
    loss: LossShares,
    first_stage: SpectrumBias | None,
    samples: ReportCard | None,
) -> list[Figure]:
    """All that was measured, what decides the verdict first."""
    axis, sigmas, counts = denoising.axis, denoising.sigmas, denoising.counts
    figures = [
        _map("Bias of the denoiser", axis, sigmas, denoising.bias, counts, BIAS),
        _map("Energy over Wiener's filter", axis, sigmas, denoising.over_wiener, counts, OVER_WIENER),
    ]
    if decoded is not None:
        every = torch.ones_like(decoded[1].decibels, dtype=torch.bool)
        figures.append(_map("Bias of decoded predictions", decoded[0], sigmas, decoded[1], every, "The same, decoded."))
    figures += [_training(sigmas, loss), _loss(axis, sigmas, loss)]
    if first_stage is not None:
        figures.append(_round_trip(first_stage))
    if samples is not None:
        figures.append(bias_by_octave(samples.octaves))
    return figures


def _map(title: str, axis: Axis, sigmas: Sequence[float], bias: Bias, counts: Tensor, what: str) -> Figure:
    """Decibels, octaves upwards and noise levels to the right, coloured around 0."""
    told = counts & (above(bias) | below(bias))
    limit = max(1.0, float(bias.decibels[told].abs().max()) if told.any() else 1.0)
    drawing, (axes,) = canvas(size=(6.2, 1.4 + 0.42 * bias.decibels.shape[1]))
    shown = torch.where(counts, bias.decibels, 0).T.numpy()
    image = axes.imshow(shown, aspect="auto", origin="lower", cmap=lack_and_excess(), vmin=-limit, vmax=limit)
    for level, octave in np.ndindex(*told.shape):
        if told[level, octave] or not counts[level, octave]:
            text = f"{bias.decibels[level, octave]:+.1f}" if told[level, octave] else "·"
            axes.text(level, octave, text, ha="center", va="center", fontsize=8, color=INK)
    _name_axes(axes, axis, sigmas)
    bar = drawing.colorbar(image, ax=axes, label="dB")
    bar.outline.set(visible=False)
    bar.ax.tick_params(color=MUTED, labelcolor=MUTED)
    bar.ax.yaxis.label.set_color(INK)
    return Figure(title, drawing, f"{what} {MARKED}", LEGEND)


def _training(sigmas: Sequence[float], loss: LossShares) -> Figure:
    drawing, (axes,) = canvas(size=(6.2, 2.6))
    places = np.arange(len(sigmas))
    for colour, shares, shift in ((1, loss.drawn, -0.2), (2, loss.octaves.sum(1), 0.2)):
        axes.bar(places + shift, shares.numpy(), 0.4, color=line_colour(colour))
    axes.set(ylabel="share", xlabel="noise level σ")
    axes.set_xticks(places, [f"{sigma:.2g}" for sigma in sigmas])
    caption = "Which noise levels the training draws, by the nearest one here, and where its expected loss is."
    return Figure("Where training looks", drawing, caption, [(1, "samples"), (2, "loss")])


def _loss(axis: Axis, sigmas: Sequence[float], loss: LossShares) -> Figure:
    shares = (loss.octaves / loss.octaves.sum(1, keepdim=True)).T.numpy()
    drawing, (axes,) = canvas(size=(6.2, 1.4 + 0.42 * len(shares)))
    axes.imshow(shares, aspect="auto", origin="lower", cmap=shades(2), vmin=0, vmax=1)
    for octave, level in np.ndindex(*shares.shape):
        axes.text(level, octave, f"{100 * shares[octave, level]:.0f}", ha="center", va="center", fontsize=8, color=INK)
    _name_axes(axes, axis, sigmas)
    caption = "Of the training's squared error at each noise level, the share of each octave in %."
    return Figure("The loss by octave", drawing, caption)


def _round_trip(found: SpectrumBias) -> Figure:
    drawing, (axes,) = canvas()
    decibels, low, high = (part.numpy() for part in found.bias)
    axes.axhline(0, color=line_colour(0), linewidth=1.2)
    places = np.arange(len(decibels))
    axes.errorbar(places, decibels, [decibels - low, high - decibels], fmt="o", color=line_colour(1), capsize=4)
    axes.set(ylabel="decoded over real (dB)", xlabel=f"octave ({found.axis.unit})")
    axes.set_xticks(places, _names(found.axis))
    caption = "Energy of a typical signal after encoding and decoding over what it was, with its 95% interval."
    return Figure("Round trip of the first stage", drawing, caption, [(1, "decoded over real")])


def _name_axes(axes, axis: Axis, sigmas: Sequence[float]) -> None:  # type: ignore[no-untyped-def]
    axes.grid(visible=False)
    axes.set_xticks(range(len(sigmas)), [f"{sigma:.2g}" for sigma in sigmas], rotation=40)
    axes.set_yticks(range(len(axis.edges) - 1), _names(axis))
    axes.set(xlabel="noise level σ", ylabel=axis.unit)


def _names(axis: Axis) -> list[str]:
    return [f"{low:g}-{high:g}" for low, high in zip(axis.edges[:-1], axis.edges[1:], strict=True)]
