"""Heun's method (Karras et al. 2022)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, NoiseSource, OnStep, Sampler


@dataclass(frozen=True)
class Heun(Sampler):
    """Karras et al. 2022, Algorithm 2: Heun's method, with optional churn; ``2 steps - 1`` calls of the denoiser.

    Args:
        churn, churn_min, churn_max, churn_noise: S_churn, S_tmin, S_tmax and S_noise of the paper; 0 churn is
            deterministic (Algorithm 1). With churn, noise is drawn at every step, also where it is not used.
    """

    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: NoiseSource, on_step: OnStep
    ) -> Tensor:
        gamma = min(self.churn / (len(sigmas) - 1), math.sqrt(2) - 1)
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            if self.churn:
                sigma_hat = sigma
                if self.churn_min <= sigma <= self.churn_max:
                    sigma_hat = denoise.round_sigma((1 + gamma) * sigma)
                x = x + math.sqrt(sigma_hat**2 - sigma**2) * self.churn_noise * draw()
                sigma = sigma_hat
            denoised = denoise(x, sigma)
            slope = (x - denoised) / sigma
            x_next = x + (sigma_next - sigma) * slope
            if sigma_next > 0:
                slope_next = (x_next - denoise(x_next, sigma_next)) / sigma_next
                x_next = x + (sigma_next - sigma) * (slope + slope_next) / 2
            x = x_next
            on_step(i, x, denoised)
        return x
