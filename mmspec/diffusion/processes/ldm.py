"""Latent diffusion (Rombach et al. 2022), as a process."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.diffusion.processes.ddpm import DDPM

SPACINGS = ("leading", "trailing", "linspace")


class LDM(DDPM):
    """`DDPM` as latent diffusion samples it (Rombach et al. 2022): from unit variance of ``sqrt(abar) x``, at evenly
    spaced timesteps above 0.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.processes.ddpm.ddpm_sigmas`.
        prediction: what the network predicts, see `DDPM`.
        spacing: of the sampler's timesteps (Lin et al. 2024, Table 2): "leading" (upwards from ``steps_offset``),
            "trailing" (downwards from the last) or "linspace" (from the last to the first).
        steps_offset: the lowest timestep of "leading"; lower where so many steps leave no room for it.
        ends_clean: samplers end at sigma = 0; else at the lowest level of the table, as CompVis's DDIM does.

    Raises:
        ValueError: for an unknown spacing, a negative offset, or what `DDPM` refuses.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "scaled_linear",
        timesteps: int = 1000,
        beta_min: float = 0.0015,
        beta_max: float = 0.0195,
        prediction: str = "noise",
        spacing: str = "leading",
        steps_offset: int = 1,
        ends_clean: bool = True,
    ) -> None:
        super().__init__(schedule, timesteps, beta_min, beta_max, prediction)
        if spacing not in SPACINGS or steps_offset < 0:
            raise ValueError(
                f"spacing must be one of {', '.join(SPACINGS)} and steps_offset 0 or more, not {spacing!r} and "
                f"{steps_offset}."
            )
        self.spacing, self.steps_offset = spacing, steps_offset
        self.sigma_end = 0.0 if ends_clean else float(self.sigmas[0])

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Timesteps ``steps_offset + i T / steps``, rounded down: CompVis's and diffusers' where ``steps`` divides T.

        Else theirs take other steps than asked for, or fail. With "trailing", ``T - 1 - i T / steps``, rounded.
        """
        if self.spacing == "linspace":
            return super().sampling_sigmas(steps)
        levels = len(self.sigmas)
        if self.spacing == "trailing":
            downwards = torch.arange(steps, dtype=torch.float64) * (levels / max(steps, 1))
            return self.sigmas.cpu().double()[(levels - downwards).round().long() - 1]
        first = min(self.steps_offset, levels // max(steps, 1) - 1)
        timesteps = torch.arange(steps - 1, -1, -1) * levels // max(steps, 1) + first
        return self.sigmas.cpu().double()[timesteps]

    def start_scale(self, sigma: float) -> float:
        return math.hypot(1, sigma)
