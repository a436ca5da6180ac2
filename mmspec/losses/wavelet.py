"""Wavelet regularizer: L1 distance of wavelet coefficients.

An L2 distance in an orthonormal wavelet domain would be the pixel distance again; L1 is not.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from mmspec.losses.base import SpectralLoss
from mmspec.losses.haar import Weights, blockwise_l1, fits_blocks
from mmspec.spectral.filter_bank import coefficient_count
from mmspec.spectral.wavelet import check_wavelet, decompose


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

    Both signals receive gradients if they require them, 0 where coefficients are equal. Haar has a shorter way where
    2**levels divides the size; there the second derivative, 0 as that of any L1 norm, is left out of the graph.

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
        self.level_weights = _level_weights(level_weights, levels)
        self.band_weights = _band_weights(band_weights, levels)

    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        difference, weights = self._without_single_axes(input - target)  # the transform is linear
        levels = self._levels_within(difference.shape[2:])
        if fits_blocks(difference, self.wavelet, levels):
            total, count = blockwise_l1(difference, self.wavelet, weights[:levels]), difference[0].numel()
        else:
            total, count = self._bandwise_l1(difference, weights, levels)
        return total if self.reduction == "sum" else total / count

    def _bandwise_l1(self, x: Tensor, weights: Weights, levels: int) -> tuple[Tensor, int]:
        """Weighted L1 norm of all coefficients ``[B]``, and how many a sample has."""
        low, details = decompose(x, self.wavelet, self.mode, levels)
        bands = [(low, weights[max(levels, 1) - 1][0])]
        for level, of_level in zip(details, reversed(weights[:levels]), strict=True):
            bands += zip(level, of_level[1:], strict=True)
        total = torch.stack([band.abs().flatten(1).sum(1) * weight for band, weight in bands]).sum(0)
        return total, sum(math.prod(band.shape[1:]) for band, _ in bands)

    def _without_single_axes(self, x: Tensor) -> tuple[Tensor, Weights]:
        """The signal without axes of one sample, and gamma of what remains, ``[levels][bands]``."""
        bands = 2 ** (x.ndim - 2)
        rows = self.band_weights or ((1.0,) * bands,) * self.levels
        if len(rows[0]) != bands:
            raise ValueError(f"a signal {list(x.shape)} has {bands} sub-bands, but band_weights are {len(rows[0])}.")
        if x.ndim == 4 and 1 in x.shape[2:]:
            step, stop = (2, 4) if x.shape[2] == 1 else (1, 2)  # LL and HL, or LL and LH
            x, rows = x.flatten(2), tuple(row[:stop:step] for row in rows)
        return x, tuple(
            tuple(level * band for band in row) for level, row in zip(self.level_weights, rows, strict=True)
        )

    def _levels_within(self, size: Sequence[int]) -> int:
        """How many of the levels find more than one sample along every axis."""
        for level in range(self.levels):
            if min(size) == 1:
                return level
            size = [coefficient_count(n, self.wavelet, self.mode) for n in size]
        return self.levels


def _level_weights(weights: Sequence[float] | None, levels: int) -> tuple[float, ...]:
    row = (1.0,) * levels if weights is None else tuple(map(float, weights))
    if len(row) != levels or min(row) < 0:
        raise ValueError(f"level_weights must be {levels} numbers of 0 or more, one a level, not {weights}.")
    return row


def _band_weights(weights: Sequence[float] | Sequence[Sequence[float]] | None, levels: int) -> Weights | None:
    if weights is None:
        return None
    if any(isinstance(row, Sequence) for row in weights):
        rows = [tuple(map(float, row)) for row in cast(Sequence[Sequence[float]], weights)]
    else:
        rows = [tuple(map(float, cast(Sequence[float], weights)))] * levels
    if len(rows) != levels or any(len(row) != len(rows[0]) or len(row) not in (2, 4) or min(row) < 0 for row in rows):
        raise ValueError(
            "band_weights must be numbers of 0 or more, (L, H) or (LL, LH, HL, HH), "
            f"or {levels} such rows, one a level, not {weights}."
        )
    return tuple(rows)
