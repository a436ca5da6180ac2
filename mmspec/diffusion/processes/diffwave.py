"""DiffWave (Kong et al. 2021), as a process: LMNT's noise levels in training and sampling."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmspec.diffusion.processes.ddpm import DDPM, ddpm_sigmas
from mmspec.diffusion.processes.process import Scalings


class DiffWave(DDPM):
    """Noise prediction by a network that takes fractional timesteps (Kong et al. 2021), as LMNT trains and samples it.

    Between two levels of the table the timestep is linear in ``sqrt(abar) = 1 / sqrt(sigma^2 + 1)`` (appendix B), so
    that a sampler may visit levels that training did not. The table ends before all of the signal is gone; samplers
    start from unit variance of ``sqrt(abar) x`` all the same.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.processes.ddpm.ddpm_sigmas`.
        inference_noise_schedule: betas of the levels that a sampler of as many steps visits; with any other number
            of steps it visits levels of the table, as with `DDPM`.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "linear",
        timesteps: int = 50,
        beta_min: float = 1e-4,
        beta_max: float = 0.05,
        inference_noise_schedule: Sequence[float] = (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5),
    ) -> None:
        super().__init__(schedule, timesteps, beta_min, beta_max)
        if len(self.sigmas) < 2:
            raise ValueError("DiffWave interpolates between noise levels: its table needs two or more.")
        self._inference_sigmas = ddpm_sigmas(inference_noise_schedule)

    def scalings(self, sigma: Tensor) -> Scalings:
        return super().scalings(sigma)._replace(c_noise=self.timestep(sigma))

    def timestep(self, sigma: Tensor) -> Tensor:
        """Fractional place of noise levels in the table, same shape and dtype."""
        precise = torch.float32 if sigma.device.type == "mps" else torch.float64  # which Apple GPUs lack
        levels, level = ((s.to(precise) ** 2 + 1).rsqrt() for s in (self.sigmas, self.round_sigma(sigma)))
        above = (levels > level[..., None]).sum(-1).clamp(1, len(levels) - 1)
        return (above - (level - levels[above]) / (levels[above - 1] - levels[above])).to(sigma.dtype)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """Within the range of the table every level is known."""
        return torch.clamp(sigma, *self.sigmas[[0, -1]].to(sigma.device).to(sigma))

    def sampling_sigmas(self, steps: int) -> Tensor:
        """The levels of ``inference_noise_schedule`` where it has so many, else of the table."""
        if steps == len(self._inference_sigmas):
            return self._inference_sigmas.flip(0)
        return super().sampling_sigmas(steps)

    def start_scale(self, sigma: float) -> float:
        return math.hypot(1, sigma)
