"""DDIM (Song et al. 2021) and, with all of its noise, DDPM's ancestral sampling (Ho et al. 2020)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, NoiseSource, OnStep, Sampler


@dataclass(frozen=True)
class DDIM(Sampler):
    """Song et al. 2021, Eq. 12, in sigma; ``eta=0`` is Euler's method, ``eta=1`` DDPM's ancestral sampling.

    Args:
        eta: share of DDPM's noise that is put back, in [0, 1].
        clip: keep ``x / sqrt(sigma^2 + 1)``, the noisy signal as DDPM scales it, in [-1, 1] after every step, as
            LMNT's DiffWave does.
        clip_denoised: keep the predicted clean signal in [-1, 1] at every step, as Ho et al. 2020 do.
    """

    eta: float = 0.0
    clip: bool = False
    clip_denoised: bool = False

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: NoiseSource, on_step: OnStep
    ) -> Tensor:
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = denoise(x, sigma)
            if self.clip_denoised:
                denoised = denoised.clamp(-1, 1)
            sigma_up = self.eta * sigma_next * math.sqrt(1 - (sigma_next / sigma) ** 2)
            sigma_down = math.sqrt(sigma_next**2 - sigma_up**2)
            x = denoised + sigma_down / sigma * (x - denoised)
            if self.eta:
                x = x + sigma_up * draw()
            if self.clip:
                bound = math.hypot(1, sigma_next)
                x = x.clamp(-bound, bound)
            on_step(i, x, denoised)
        return x


@dataclass(frozen=True)
class DDPM(DDIM):
    """Ancestral sampling (Ho et al. 2020, Algorithm 2), in sigma: the posterior ``q(x_next | x, x0_hat)``."""

    eta: float = 1.0
