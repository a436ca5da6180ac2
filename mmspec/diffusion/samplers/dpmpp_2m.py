"""DPM-Solver++ (Lu et al. 2022)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, NoiseSource, OnStep, Sampler


@dataclass(frozen=True)
class DPMpp2M(Sampler):
    """DPM-Solver++(2M), data prediction, second order multistep (Lu et al. 2022, Algorithm 2), in sigma."""

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: NoiseSource, on_step: OnStep
    ) -> Tensor:
        previous, h_previous = None, 0.0
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = denoise(x, sigma)
            if sigma_next == 0:  # h is infinite: the update is the prediction itself
                x = denoised
            else:
                h = math.log(sigma / sigma_next)
                direction = denoised
                if previous is not None:
                    direction = denoised + h / (2 * h_previous) * (denoised - previous)
                x = sigma_next / sigma * x - math.expm1(-h) * direction
                previous, h_previous = denoised, h
            on_step(i, x, denoised)
        return x
