"""Wavelet regularizer: L1 distance of wavelet coefficients.

An L2 distance in an orthonormal wavelet domain would be the pixel distance again; L1 is not.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.losses import wavelet_l1
from mmspec.losses.base import SpectralLoss
from mmspec.losses.haar import Weights
from mmspec.spectral.filter_bank import coefficient_count
from mmspec.spectral.wavelet import check_wavelet


class WaveletLoss(SpectralLoss):
    """``sum_{s,l} gamma_{s,l} || W^(s,l) - W_hat^(s,l) ||_1`` over levels s and sub-bands l of a wavelet transform.

    Spectral Regularization for Diffusion Models, Eq. 16; the approximation of the last level is one of the
    sub-bands. The scale is that of the signal: with the default mode, an orthogonal wavelet (Haar, Daubechies,
    symlets, coiflets) and sizes that 2**levels divides, the transform is orthonormal, with as many coefficients as
    samples. Other modes have more coefficients and, but for "zero", count what lies near the ends more than once.

    Axes of one sample are left out (an image of height 1 is a 1D signal), and the transform ends before `levels`
    where an axis has come down to one sample; the approximation reached is then the last.

    Args:
        wavelet: one of ``pywt.wavelist(kind="discrete")``; the paper uses "haar" and "bior1.3".
        levels: J >= 1.
        mode: boundary mode, see `mmspec.spectral.dwt`.
        level_weights: one weight a level, from the finest (s = 1) to the coarsest; default 1. The approximation has
            the weight of the last level.
        band_weights: weights of the sub-bands in the order of `mmspec.spectral.dwt`, (L, H) in 1D or
            (LL, LH, HL, HH) in 2D, or one such row a level; default 1. The first is the approximation's.
            gamma is the product of both weights.
        reduction: "mean" over all coefficients, channels and samples, weights included in the coefficients; "sum"
            over them, which is the equation's norm; "none" for the mean of each sample, ``[B]``.

    Shape:
        input and target ``[B, C, T]`` or ``[B, C, H, W]``; result ``[]``, or ``[B]`` with ``reduction="none"``.

    Both signals receive gradients if they require them, 0 where coefficients are equal. Haar is several times faster
    where 2**levels divides the size.

    Raises:
        ValueError: for an unknown wavelet, mode or reduction, levels below 1, or weights that are negative or do
            not fit the levels or, once a signal is seen, its dimension.
    """

    def __init__(
        self,
        wavelet: str = "haar",
        levels: int = 3,
        mode: str = "periodization",
        level_weights: Sequence[float] | None = None,
        band_weights: Sequence[float] | Sequence[Sequence[float]] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        check_wavelet(wavelet, mode)
        if levels < 1:
            raise ValueError(f"levels must be 1 or more, not {levels}.")
        self.wavelet, self.levels, self.mode = wavelet, levels, mode
        self.gamma = _gamma(levels, level_weights, band_weights)

    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        difference = input - target  # the transform is linear
        bands = 2 ** (input.ndim - 2)
        if bands not in self.gamma:
            raise ValueError(
                f"a signal {list(input.shape)} has {bands} sub-bands, but band_weights are {min(self.gamma)}."
            )
        x, gamma = _without_single_axes(difference, self.gamma[bands])
        levels = self._levels_within(x.shape[2:])
        with torch.no_grad():
            # The divisor in the weights: every node of autograd less is time saved.
            count = self._divisor(x, levels)
            gamma = tuple(tuple(weight / count for weight in row) for row in gamma[:levels] or gamma[:1])
            gradient = wavelet_l1.gradient(x.flatten(0, 1), self.wavelet, self.mode, gamma, levels)
        if self.reduction == "none":
            norms: Tensor = torch.linalg.vecdot(x.flatten(1), gradient.view(x.shape).flatten(1))
            return norms
        return torch.dot(x.flatten(), gradient.flatten())

    def _divisor(self, x: Tensor, levels: int) -> int:
        """What the sum over coefficients is divided by: how many there are, of a sample or of all."""
        if self.reduction == "sum":
            return 1
        count, size = 0, list(x.shape[2:])
        for _ in range(levels):
            size = [coefficient_count(n, self.wavelet, self.mode) for n in size]
            count += (2 ** len(size) - 1) * math.prod(size)
        count = x.shape[1] * (count + math.prod(size))
        return count if self.reduction == "none" else max(1, count * len(x))

    def _levels_within(self, size: Sequence[int]) -> int:
        """How many of the levels find more than one sample along every axis."""
        for level in range(self.levels):
            if min(size) == 1:
                return level
            size = [coefficient_count(n, self.wavelet, self.mode) for n in size]
        return self.levels


def _without_single_axes(x: Tensor, gamma: Weights) -> tuple[Tensor, Weights]:
    """An image of height or width 1 as a signal, and the weights of the two bands that it has."""
    if x.ndim == 4 and 1 in x.shape[2:]:
        step, stop = (2, 4) if x.shape[2] == 1 else (1, 2)  # LL and HL, or LL and LH
        return x.flatten(2), tuple(weights[:stop:step] for weights in gamma)
    return x, gamma


def _gamma(
    levels: int,
    level_weights: Sequence[float] | None,
    band_weights: Sequence[float] | Sequence[Sequence[float]] | None,
) -> dict[int, Weights]:
    """Number of sub-bands -> ``gamma[level][band]``, the finest level first: both numbers if none were given."""
    of_level = (1.0,) * levels if level_weights is None else tuple(map(float, level_weights))
    if len(of_level) != levels or not _are_weights(of_level):
        raise ValueError(f"level_weights must be {levels} numbers of 0 or more, one a level, not {level_weights}.")
    if band_weights is None:
        return {bands: tuple((weight,) * bands for weight in of_level) for bands in (2, 4)}
    one_row = not any(isinstance(row, Sequence) for row in band_weights)
    rows = [tuple(map(float, row)) for row in ([band_weights] * levels if one_row else band_weights)]  # type: ignore
    bands = len(rows[0])
    if len(rows) != levels or bands not in (2, 4) or any(len(row) != bands or not _are_weights(row) for row in rows):
        raise ValueError(
            "band_weights must be numbers of 0 or more, (L, H) or (LL, LH, HL, HH), "
            f"or {levels} such rows, one a level, not {band_weights}."
        )
    return {bands: tuple(tuple(weight * w for w in row) for weight, row in zip(of_level, rows, strict=True))}


def _are_weights(numbers: Sequence[float]) -> bool:
    return all(0 <= number < math.inf for number in numbers)
