"""The distance of two signals in STFT magnitudes at one resolution, with its gradient made along with the value."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.spectral.derivatives import first_only
from mmspec.spectral.stft import add_pieces, cut_pieces, half_spectra, magnitudes, twice_adjoint


class Weights(NamedTuple):
    """Of the three terms of a distance."""

    convergence: float
    log: float
    linear: float


class MagnitudeDistance(torch.autograd.Function):
    """``convergence ||X - X_hat||_F / ||X||_F + log |log X_hat / X| + linear |X - X_hat|``, ``[B]``.

    As in the Fourier losses the gradient is made in the forward pass, and goes back through one inverse real FFT; what
    is kept for the backward pass is as large as the signals.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        target: Tensor,
        presence: Tensor,
        window: Tensor,
        n_fft: int,
        hop_length: int,
        weights: Weights,
        mean: bool,
        floor: float,
    ) -> Tensor:
        """Of signals ``[B, C, *spatial]`` as `mmspec.spectral.stft.framing` continues them.

        Args:
            presence: how much the convergence of each counts, ``[B]``.
            mean: whether the last two terms are means over magnitudes, or sums.
            floor: magnitudes below are raised to it, and have no gradient.
        """
        size = (n_fft,) * (input.ndim - 2)
        spectra = half_spectra(cut_pieces(torch.cat((input, target)), window, hop_length), size)
        predicted, clean = magnitudes(spectra, floor).chunk(2)
        share = 1 / predicted[0].numel() if mean else 1.0
        weights = Weights(weights.convergence, weights.log * share, weights.linear * share)
        difference = predicted - clean
        error, loudness = (x.flatten(1).norm(dim=1) for x in (difference, clean))
        convergence = weights.convergence * error / loudness

        def gradient(i: int) -> Tensor | None:
            """By signal i, the prediction or the target."""
            if not ctx.needs_input_grad[i]:
                return None
            pull = torch.where(error > 0, 0.5 * weights.convergence * presence / (error * loudness), 0)
            by_magnitude = _each(pull, difference) * difference
            if i == 1:
                by_magnitude.addcmul_(_each(0.5 * presence * convergence / loudness.square(), clean), clean).neg_()
            sign = difference.sign() if i == 0 else difference.sign().neg_()
            by_logarithm = _by_logarithm(by_magnitude, sign, (predicted, clean)[i], weights, floor)
            pieces: Tensor = twice_adjoint(spectra.chunk(2)[i] * by_logarithm, size, window.shape)
            return add_pieces(pieces, window, hop_length, input.shape[2:])

        ctx.save_for_backward(gradient(0), gradient(1), convergence if ctx.needs_input_grad[2] else None)
        value: Tensor = presence * convergence + _of_each_magnitude(predicted, clean, difference, weights)
        return value

    @staticmethod
    @first_only
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        by_input, by_target, by_presence = (
            None if of_value is None else _each(grad, of_value) * of_value for of_value in ctx.saved_tensors
        )
        return by_input, by_target, by_presence, *(None,) * 6


def _of_each_magnitude(predicted: Tensor, clean: Tensor, difference: Tensor, weights: Weights) -> Tensor:
    """The last two terms, ``[B]``."""
    value = predicted.new_zeros(len(predicted))
    if weights.log:
        value = value + weights.log * (predicted / clean).log_().abs_().flatten(1).sum(1)
    if weights.linear:
        value = value + weights.linear * difference.abs().flatten(1).sum(1)
    return value


def _by_logarithm(by_magnitude: Tensor, sign: Tensor, magnitude: Tensor, weights: Weights, floor: float) -> Tensor:
    """Half the derivative by magnitudes, over these magnitudes; that of the first term is given, and written into."""
    inverse = F.threshold(magnitude, floor, math.inf).reciprocal_()  # 0 at the floor
    if weights.log:
        by_magnitude.addcmul_(sign, inverse, value=0.5 * weights.log)
    if weights.linear:
        by_magnitude.add_(sign, alpha=0.5 * weights.linear)
    return by_magnitude.mul_(inverse)


def _each(values: Tensor, like: Tensor) -> Tensor:
    """``[B]`` -> ``[B, 1, ...]``, with the axes of ``like``."""
    return values.view(-1, *(1,) * (like.ndim - 1))
