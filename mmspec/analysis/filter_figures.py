"""Figures of filters: of the optimal linear one, and of a denoiser beside it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mmspec.analysis import figures
from mmspec.analysis.wiener import Filter, power_law, wiener_filter
from mmspec.drawing.figure import Figure


def optimal_filters(abars: Sequence[float], amplitude: float, alpha: float, highest: float) -> Figure:
    """The optimal linear filters for signals with the power spectrum ``A f^-alpha`` (Diffusion Probabilistic Model Made
    Slim, figure 3).

    Args:
        abars: share of the signal's power that is left, in (0, 1]; a line each.
        amplitude: A.
        alpha: how fast power falls.
        highest: frequency shown, in cycles per signal, above 1.
    """
    frequency = torch.logspace(0, np.log10(highest), 400, dtype=torch.float64)
    power = power_law(frequency, amplitude, alpha)
    gains = {abar: wiener_filter(power, abar).numpy() for abar in abars}
    caption = f"For signals with the power spectrum {amplitude:g} f^-{alpha:g} in white noise."
    legend = [(colour, f"abar = {abar:g}") for colour, abar in enumerate(abars, start=1)]
    return Figure("Wiener filters", figures.wiener_filters(frequency.numpy(), gains), caption, legend)


def measured_filters(found: Mapping[float, Filter], title: str, over: str) -> Figure:
    """What a denoiser lets pass, beside the optimum for the same signals.

    Args:
        found: sigma, ascending -> the filter there.
        title: of the figure.
        over: how many signals or latents were measured, such as "256 signals".
    """
    first = next(iter(found.values()))
    drawing = figures.measured_filters(
        first.frequency.numpy(),
        {sigma: gains.measured.numpy() for sigma, gains in found.items()},
        {sigma: gains.predicted.numpy() for sigma, gains in found.items()},
        first.unit,
    )
    caption = (
        f"Gain by which D(x; σ) passes each frequency of x, by regression over {over}; wide and pale: "
        "S / (S + σ²) with their power spectrum S, the gain of the optimal denoiser."
    )
    legend = [(colour, f"σ = {sigma:.3g}") for colour, sigma in enumerate(found, start=1)]
    return Figure(title, drawing, caption, legend)
