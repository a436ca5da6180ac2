"""Euler's method."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, NoiseSource, OnStep, Sampler


@dataclass(frozen=True)
class Euler(Sampler):
    """Euler's method on ``dx/dsigma = (x - D) / sigma`` (Karras et al. 2022)."""

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: NoiseSource, on_step: OnStep
    ) -> Tensor:
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = denoise(x, sigma)
            x = denoised + sigma_next / sigma * (x - denoised)
            on_step(i, x, denoised)
        return x
