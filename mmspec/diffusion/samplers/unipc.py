"""UniPC (Zhao et al. 2023)."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, NoiseSource, OnStep, Sampler

Known = tuple[float, Tensor]  # a noise level, and what was predicted there


@dataclass(frozen=True)
class UniPC(Sampler):
    """UniPC (Zhao et al. 2023, Algorithms 1 and 2, data prediction, ``B_2(h)``), in sigma: a step is predicted from the
    last predictions of x0, and corrected as soon as the next is there, so that it costs one call of the denoiser.

    Args:
        order: 1 to 3 predictions that a step is made of; fewer at both ends of the walk. The error of a corrected step
            is of one order more.

    Raises:
        ValueError: for another order.
    """

    order: int = 3

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise ValueError(f"order must be 1, 2 or 3, not {self.order}.")

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: NoiseSource, on_step: OnStep
    ) -> Tensor:
        steps = len(sigmas) - 1
        known: deque[Known] = deque(maxlen=self.order)  # the latest first
        start, used = x, 0
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = denoise(x, sigma)
            if used:  # what x was predicted by, and now what is predicted there
                x = _step(start, list(known)[:used], sigma, denoised)
            known.appendleft((sigma, denoised))
            if sigma_next == 0:
                x = denoised
            else:
                start, used = x, min(self.order, i + 1, steps - i)
                x = _step(x, list(known)[:used], sigma_next)
            on_step(i, x, denoised)
        return x


def _step(x: Tensor, known: Sequence[Known], sigma: float, denoised: Tensor | None = None) -> Tensor:
    """From x at the first known noise level to sigma; with what is predicted there, the corrector's step."""
    (sigma_0, prediction), *earlier = known
    h = math.log(sigma_0 / sigma)
    ratios = [math.log(sigma_0 / level) / h for level, _ in earlier]
    slopes = [(other - prediction) / ratio for (_, other), ratio in zip(earlier, ratios, strict=True)]
    if denoised is not None:
        ratios, slopes = [*ratios, 1.0], [*slopes, denoised - prediction]
    added = math.expm1(-h)
    x = sigma / sigma_0 * x - added * prediction
    for weight, slope in zip(_weights(ratios, -h), slopes, strict=True):
        x = x - added * weight * slope
    return x


def _weights(ratios: Sequence[float], hh: float) -> Iterable[float]:
    """Of the slopes (Theorem 3.1); the paper's own choice of 1/2 for a single one."""
    if len(ratios) < 2:
        return [0.5] * len(ratios)
    phi, wanted = math.expm1(hh) / hh - 1, []
    for k in range(1, len(ratios) + 1):
        wanted.append(phi * math.factorial(k) / math.expm1(hh))
        phi = phi / hh - 1 / math.factorial(k + 1)
    powers = np.vander(ratios, increasing=True).T
    solved: list[float] = np.linalg.solve(powers, wanted).tolist()
    return solved
