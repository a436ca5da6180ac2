"""Latent diffusion (Rombach et al. 2022), as a process."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.diffusion.processes.ddpm import DDPM


class LDM(DDPM):
    """`DDPM` as latent diffusion samples it (Rombach et al. 2022): from unit variance of ``sqrt(abar) x``, at evenly
    spaced timesteps above 0.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.processes.ddpm.ddpm_sigmas`.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "scaled_linear",
        timesteps: int = 1000,
        beta_min: float = 0.0015,
        beta_max: float = 0.0195,
    ) -> None:
        super().__init__(schedule, timesteps, beta_min, beta_max)

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Timesteps ``1 + i T / steps``, rounded down: those of CompVis's sampler where ``steps`` divides T.

        Else CompVis's takes other steps than asked for, or fails. More than T / 2 steps begin at timestep 0.
        """
        levels = len(self.sigmas)
        first = 1 if 2 * steps <= levels else 0
        timesteps = torch.arange(steps - 1, -1, -1, device=self.sigmas.device) * levels // max(steps, 1) + first
        return self.sigmas.double()[timesteps]

    def start_scale(self, sigma: float) -> float:
        return math.hypot(1, sigma)
