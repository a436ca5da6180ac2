"""Figures of a sampler's walk: what the denoiser predicts on it, and which sub-bands its gates let pass."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mmspec.analysis import figures
from mmspec.analysis.trajectory import Trajectory, chosen_calls
from mmspec.diffusion import Denoiser
from mmspec.drawing.figure import Figure
from mmspec.metrics.spectrum import MeanSpectrum, Spectrum

BANDS = {2: ("L", "H"), 4: ("LL", "LH", "HL", "HH")}


def predictions(trajectory: Trajectory, denoiser: Denoiser, shown: int, real: Tensor | None, title: str) -> Figure:
    """Predictions and their spectra (Diffusion Probabilistic Model Made Slim, figure 2).

    Args:
        trajectory: of a walk, predictions kept.
        denoiser: that walked, which decodes latents.
        shown: calls, evenly spread over the walk.
        real: signals ``[N, C, *spatial]`` whose spectrum is drawn beside, or None.
        title: of the figure.
    """
    chosen = chosen_calls(trajectory.sigmas, shown)
    device = next(denoiser.parameters()).device
    signals = [denoiser.decode(trajectory.predictions[call].to(device)).cpu() for call in chosen]
    spectra = [_spectrum(x, denoiser.sample_rate) for x in signals]
    sigmas = [trajectory.sigmas[call] for call in chosen]
    drawing = figures.predictions(
        np.stack([x[0].numpy() for x in signals]),
        sigmas,
        spectra[0].frequency.numpy(),
        np.stack([spectrum.power.numpy() for spectrum in spectra]),
        None if real is None else _spectrum(real, denoiser.sample_rate).power.numpy(),
        spectra[0].unit,
    )
    legend = [] if real is None else [(0, "real")]
    legend += [(colour, f"σ = {sigma:.2g}") for colour, sigma in enumerate(sigmas, start=1)]
    caption = (
        f"Above: x0_hat of one sample; below: mean power of {len(signals[0])} predictions. White noise of variance 1 "
        "has 0 dB."
    )
    return Figure(title, drawing, caption, legend)


def gates(sigmas: Sequence[float], found: Mapping[str, np.ndarray], num: int, title: str) -> Figure:
    """Gates of the wavelet resampling layers (Diffusion Probabilistic Model Made Slim, figure 9).

    Args:
        sigmas: noise levels of the walk, descending.
        found: layer -> gates, ``[sigmas, bands]``; at least one.
        num: samples that walked.
        title: of the figure.
    """
    bands = next(iter(found.values())).shape[1]
    caption = f"Means over {num} samples; time runs to the right. An open gate is 1."
    legend = list(enumerate(BANDS.get(bands, tuple(f"band {i}" for i in range(bands))), start=1))
    return Figure(title, figures.gate_values(sigmas, found), caption, legend)


def _spectrum(x: Tensor, sample_rate: int | None) -> Spectrum:
    spectrum = MeanSpectrum(sample_rate)
    spectrum.update(x)
    return spectrum.result()
