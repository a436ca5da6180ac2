"""DDPM (Ho et al. 2020), as a process, on its tables of noise levels."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from mmspec.diffusion.processes.discrete import Discrete

MOST_TIMESTEPS = 10**5
BETA_SCHEDULES = ("linear", "scaled_linear", "cosine")


class DDPM(Discrete):
    """A table of noise levels (Ho et al. 2020), seen in sigma; timesteps run from 0.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `ddpm_sigmas`.
        prediction: what the network predicts, "noise", "velocity" or "signal", see
            `mmspec.diffusion.processes.discrete.Discrete`.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "linear",
        timesteps: int = 1000,
        beta_min: float = 1e-4,
        beta_max: float = 0.02,
        prediction: str = "noise",
    ) -> None:
        super().__init__(ddpm_sigmas(schedule, timesteps, beta_min, beta_max), first_timestep=0, prediction=prediction)

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """A timestep uniformly from the table."""
        timesteps = torch.randint(len(self.sigmas), (count,), generator=generator, device=device)
        return self.sigmas.to(device)[timesteps]

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Timesteps evenly spaced from the last of the table to the first (steps=1: the last alone)."""
        timesteps = torch.linspace(len(self.sigmas) - 1, 0, steps, dtype=torch.float64)
        return self.sigmas.cpu().double()[timesteps.round().long()]


def ddpm_sigmas(
    schedule: str | Sequence[float] = "linear", timesteps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02
) -> Tensor:
    """``sigma_t = sqrt((1 - abar_t) / abar_t)`` for t = 0 .. timesteps - 1, ascending, ``[timesteps]`` float64.

    Args:
        schedule: "linear" (Ho et al. 2020: betas evenly spaced), "scaled_linear" (Rombach et al. 2022: their square
            roots are), "cosine" (Nichol and Dhariwal 2021, Eq. 17: ``abar = cos^2((t / T + s) / (1 + s) pi / 2)``,
            s = 0.008, betas at most 0.999), or the betas themselves.
        timesteps: length of the table, unless the betas are given.
        beta_min, beta_max: first and last beta of the linear schedules.

    Raises:
        ValueError: for an unknown schedule, a table without entries, or betas outside (0, 1).
    """
    betas = ddpm_betas(schedule, timesteps, beta_min, beta_max)
    if not (betas.numel() and betas.min() > 0 and betas.max() < 1):
        raise ValueError("betas must lie between 0 and 1, and there must be one or more.")
    alpha_bar = torch.cumprod(1 - betas, dim=0)
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def ddpm_betas(
    schedule: str | Sequence[float] = "linear", timesteps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02
) -> Tensor:
    """The betas of a schedule, ``[timesteps]`` float64; arguments, and what is raised, as for `ddpm_sigmas`."""
    if not isinstance(schedule, str):
        return torch.tensor(list(schedule), dtype=torch.float64)
    if not 1 <= timesteps <= MOST_TIMESTEPS:
        raise ValueError(f"timesteps must be from 1 to {MOST_TIMESTEPS}, not {timesteps}.")
    if not (0 < beta_min < 1 and 0 < beta_max < 1):
        raise ValueError(f"betas must lie between 0 and 1, not from {beta_min} to {beta_max}.")
    if schedule == "linear":
        return torch.linspace(beta_min, beta_max, timesteps, dtype=torch.float64)
    if schedule == "scaled_linear":
        return torch.linspace(beta_min**0.5, beta_max**0.5, timesteps, dtype=torch.float64) ** 2
    if schedule == "cosine":
        t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        alpha_bar = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    raise ValueError(f"beta schedule must be one of {', '.join(BETA_SCHEDULES)}, not {schedule!r}.")
