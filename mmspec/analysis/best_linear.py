"""What can be known of a signal at a noise level: the prediction of the best linear denoiser."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.analysis import figures
from mmspec.drawing.figure import Figure
from mmspec.spectral import radial_power_spectrum
from mmspec.spectral.signals import spatial_axes


def best_linear(x: Tensor, noisy: Tensor, sigma: float) -> Tensor:
    """The Wiener filter ``S / (S + sigma^2)`` around the mean signal (Wiener 1949), S and the mean those of x.

    Args:
        x: clean signals, ``[N, C, *spatial]``.
        noisy: signals with white noise of deviation sigma, ``[B, C, *spatial]``.
        sigma: noise level, above 0.

    Returns:
        Predictions of the clean signals, ``[B, C, *spatial]``.
    """
    axes, mean = spatial_axes(x), x.mean(0, keepdim=True)
    power = torch.fft.fftn(x - mean, dim=axes, norm="ortho").abs().square().mean((0, 1))
    filtered = torch.fft.fftn(noisy - mean, dim=axes) * (power / (power + sigma**2))
    predicted: Tensor = mean + torch.fft.ifftn(filtered, dim=axes).real
    return predicted


def predictions(x: Tensor, sigmas: Sequence[float], sample_rate: int | None, seed: int, shown: int) -> Figure:
    """One signal as the best linear denoiser predicts it at each noise level, and the mean spectra of all.

    Args:
        x: clean signals, ``[N, C, *spatial]``.
        sigmas: noise levels, above 0.
        sample_rate: Hz of audio; None for pictures.
        seed: of the noise, which is the same at each level.
        shown: which signal.
    """
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    predicted = [best_linear(x, x + sigma * noise, sigma) for sigma in sigmas]
    spectra = [radial_power_spectrum(each, sample_rate=sample_rate) for each in (x, *predicted)]
    powers = torch.stack([power.mean((0, 1)) for _, power in spectra]).numpy()
    unit = "cycles/image" if sample_rate is None else "Hz"
    drawing = figures.predictions(
        torch.stack([each[shown] for each in predicted]).numpy(),
        sigmas,
        spectra[0][0].numpy(),
        powers[1:],
        powers[0],
        unit,
    )
    caption = (
        f"Above: one signal as the best linear denoiser predicts it at each noise level σ; below: mean power spectra "
        f"of {len(x):,} clean signals and of their predictions."
    )
    legend = [(0, "clean"), *((colour, f"σ = {sigma:g}") for colour, sigma in enumerate(sigmas, start=1))]
    return Figure("What can be known at each noise level", drawing, caption, legend)
