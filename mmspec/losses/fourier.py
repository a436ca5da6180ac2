"""Fourier regularizers: L1 distances of amplitudes and phases.

An L2 distance in a unitary domain would be the pixel distance again (Parseval's theorem); L1 is not.
"""

import math
from typing import Any

import torch
from torch import Tensor

from mmspec.losses.base import SpectralLoss
from mmspec.spectral.derivatives import first_only, transformed
from mmspec.spectral.fourier import sum_over_spectrum
from mmspec.spectral.signals import spatial_axes


class FourierAmplitudeLoss(SpectralLoss):
    """``|| A - A_hat ||_1``, A the amplitudes of the Fourier transform of each channel.

    Spectral Regularization for Diffusion Models, Eq. 14.

    Args:
        norm: scale of the transform: "ortho" (unitary, the scale of the signal at every size), "backward"
            (unscaled) or "forward" (divided by the number of samples), as in `torch.fft`.
        reduction: "mean" over all frequencies of the full spectrum, channels and samples; "sum" over them, which is
            the equation's norm; "none" for the mean of each sample, ``[B]``.

    Shape:
        input and target ``[B, C, T]`` or ``[B, C, H, W]``; result ``[]``, or ``[B]`` with ``reduction="none"``.

    Both signals receive gradients if they require them; second derivatives are those of `torch.func` alone. Where the
    amplitudes are equal, and where an amplitude is 0, the gradient is 0.

    Raises:
        ValueError: for an unknown norm or reduction.
    """

    coupling: str | None = None

    def __init__(self, norm: str = "ortho", reduction: str = "mean") -> None:
        super().__init__(reduction)
        if norm not in ("ortho", "backward", "forward"):
            raise ValueError(f'norm must be "ortho", "backward" or "forward", not {norm!r}.')
        self.norm = norm

    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        frequencies = math.prod(input.shape[2:])
        scale: float = {"ortho": frequencies**-0.5, "backward": 1.0, "forward": 1 / frequencies}[self.norm]
        share = 1.0 if self.reduction == "sum" else 1 / (input.shape[1] * frequencies)
        measure = _polar_distance if transformed() else _PolarDistance.apply
        distance: Tensor = measure(input, target, self.coupling, share)
        return scale * share * distance


class FourierAmplitudePhaseLoss(FourierAmplitudeLoss):
    """``|| A - A_hat ||_1 (1 + || phi - phi_hat ||_1)``, A and phi the amplitudes and phases of each channel.

    Spectral Regularization for Diffusion Models, Eq. 15, in one of two readings:

    - ``coupling="frequency"``, the sum of ``|A - A_hat| (1 + |phi - phi_hat|)`` over frequencies: a wrong phase
      counts where the amplitude is wrong too, which is what the paper's text asks for;
    - ``coupling="norm"``, the product of two norms as printed: every phase counts, even of a weak frequency.

    Phase differences are wrapped to [-pi, pi], and 0 where an amplitude is 0. The gradient with respect to a phase
    grows as its amplitude vanishes; it is cut off where that amplitude is below the rounding error of the amplitude
    difference it is multiplied with, so it is always finite.

    Args:
        coupling: "frequency" or "norm".
        norm: as for `FourierAmplitudeLoss`.
        reduction: "mean", "sum" or "none", as for `FourierAmplitudeLoss`; with ``coupling="norm"`` both norms of a
            sample are means over it, or sums over it with "sum", before they are multiplied.

    Shape:
        input and target ``[B, C, T]`` or ``[B, C, H, W]``; result ``[]``, or ``[B]`` with ``reduction="none"``.

    Both signals receive gradients if they require them; second derivatives are those of `torch.func` alone.

    Raises:
        ValueError: for an unknown coupling, norm or reduction.
    """

    def __init__(self, coupling: str = "frequency", norm: str = "ortho", reduction: str = "mean") -> None:
        super().__init__(norm, reduction)
        if coupling not in ("frequency", "norm"):
            raise ValueError(f'coupling must be "frequency" or "norm", not {coupling!r}.')
        self.coupling = coupling


class _PolarDistance(torch.autograd.Function):
    """Distance of two signals in amplitude and phase, summed over the full spectrum: ``[B]``.

    Only the half spectrum of a real signal is computed. The gradient has the symmetry of the spectrum, so that the
    adjoint of the transform is one inverse real FFT; all that is kept for it is the gradient at the half spectrum.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor, coupling: str | None, share: float) -> Tensor:
        """``coupling`` as in the losses, or None for amplitudes alone; ``share`` is the weight of one frequency."""
        ctx.axes, ctx.size = spatial_axes(input), input.shape[2:]
        spectra: Tensor = torch.fft.rfftn(torch.stack((input, target)), dim=ctx.axes)
        # Arithmetic on separate real and imaginary parts is several times faster than abs() and angle().
        real, imag = spectra.real.contiguous(), spectra.imag.contiguous()
        power = real.square().addcmul_(imag, imag).clamp_(min=torch.finfo(real.dtype).tiny)  # for 1 / amplitude
        amplitude = power.sqrt()
        difference = amplitude[0] - amplitude[1]
        gap, by_amplitude, by_phase = difference.abs(), difference.sign(), None
        if coupling is None:
            value = _total(gap, ctx.size)
        else:
            angle = _angle_between(real, imag)
            value, by_gap, by_error, cutoff = _couple(coupling, gap, angle.abs(), share, ctx.size)
            by_amplitude, by_phase = by_amplitude * by_gap, angle.sign() * by_error

        def gradient(i: int) -> Tensor:
            by_logarithm = by_amplitude / amplitude[i]
            if by_phase is not None:
                by_logarithm = torch.complex(by_logarithm, by_phase / torch.maximum(power[i], cutoff))
            return spectra[i] * by_logarithm

        ctx.save_for_backward(*(gradient(i) if ctx.needs_input_grad[i] else None for i in (0, 1)))
        return value

    @staticmethod
    @first_only
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        at_input, at_target = (
            None if g is None else torch.fft.irfftn(g, s=ctx.size, dim=ctx.axes, norm="forward")
            for g in ctx.saved_tensors
        )
        grad = grad.view(-1, *(1,) * (len(ctx.size) + 1))
        return (
            None if at_input is None else grad * at_input,
            None if at_target is None else -grad * at_target,  # both terms depend on differences alone
            None,
            None,
        )


def _polar_distance(input: Tensor, target: Tensor, coupling: str | None, share: float) -> Tensor:
    """The same as a function of torch's own, several times slower and differentiable in every way."""
    axes, size = spatial_axes(input), input.shape[2:]
    spectra = torch.fft.rfftn(torch.stack((input, target)), dim=axes)
    amplitude = spectra.abs()
    gap = (amplitude[0] - amplitude[1]).abs()
    if coupling is None:
        return _total(gap, size)
    *_, cutoff = _couple(coupling, gap.detach(), torch.zeros_like(gap), share, size)
    steady = torch.where(amplitude.square() > cutoff, spectra, spectra.detach())
    turns = (steady[0].angle() - steady[1].angle()) / (2 * math.pi)
    error = 2 * math.pi * (turns - turns.round()).abs()
    return _couple(coupling, gap, torch.where((amplitude > 0).all(0), error, 0), share, size)[0]


def _angle_between(real: Tensor, imag: Tensor) -> Tensor:
    """Phase of the first spectrum minus that of the second, in [-pi, pi]; 0 where either is 0."""
    along = real[0] * real[1] + imag[0] * imag[1]
    across = imag[0] * real[1] - real[0] * imag[1]
    return torch.atan2(across, along.add_(0.0))  # -0 + 0 = 0: atan2(0, -0) would be pi


def _couple(
    coupling: str, gap: Tensor, error: Tensor, share: float, size: torch.Size
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Couple amplitude gaps with phase errors: the value ``[B]``, its derivatives by either, and a cut-off.

    A derivative by a phase is divided by the power at that frequency, or by the cut-off where that is larger.
    """
    precision = torch.finfo(gap.dtype).eps
    if coupling == "frequency":
        by_gap = 1 + error
        return _total(gap * by_gap, size), by_gap, gap, precision * gap.square()
    gaps, errors = _total(gap, size), _total(error, size)
    each = (-1, *(1,) * (gap.ndim - 1))
    mean_gap = (gaps / (gap.shape[1] * math.prod(size))).view(each)
    by_gap = 1 + share * errors
    return gaps * by_gap, by_gap.view(each), share * gaps.view(each), precision * mean_gap.square()


def _total(half: Tensor, size: torch.Size) -> Tensor:
    """Half spectra ``[B, C, *spatial]`` -> sums over channels and the full spectrum ``[B]``."""
    return sum_over_spectrum(half, size).sum(1)
