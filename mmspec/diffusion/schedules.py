"""Tables of noise levels: DDPM's betas, and the grids that samplers walk down."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BETA_SCHEDULES = ("linear", "cosine")


def ddpm_sigmas(
    schedule: str | Sequence[float] = "linear", timesteps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02
) -> Tensor:
    """``sigma_t = sqrt((1 - abar_t) / abar_t)`` for t = 0 .. timesteps - 1, ascending, ``[timesteps]`` float64.

    Args:
        schedule: "linear" (Ho et al. 2020: betas evenly spaced), "cosine" (Nichol and Dhariwal 2021, Eq. 17:
            ``abar = cos^2((t / T + s) / (1 + s) pi / 2)``, s = 0.008, betas at most 0.999), or the betas themselves.
        timesteps: length of the table, unless the betas are given.
        beta_min, beta_max: first and last beta of the linear schedule.

    Raises:
        ValueError: for an unknown schedule, a table without entries, or betas outside (0, 1).
    """
    betas = ddpm_betas(schedule, timesteps, beta_min, beta_max)
    if not (betas.numel() and 0 < betas.min() and betas.max() < 1):
        raise ValueError("betas must lie between 0 and 1, and there must be one or more.")
    alpha_bar = torch.cumprod(1 - betas, dim=0)
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def ddpm_betas(
    schedule: str | Sequence[float] = "linear", timesteps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02
) -> Tensor:
    """The betas of a schedule, ``[timesteps]`` float64; arguments as for `ddpm_sigmas`."""
    if not isinstance(schedule, str):
        return torch.tensor(list(schedule), dtype=torch.float64)
    if timesteps < 1:
        raise ValueError(f"timesteps must be 1 or more, not {timesteps}.")
    if schedule == "linear":
        return torch.linspace(beta_min, beta_max, timesteps, dtype=torch.float64)
    if schedule == "cosine":
        t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        alpha_bar = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    raise ValueError(f"beta schedule must be one of {', '.join(BETA_SCHEDULES)}, not {schedule!r}.")


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """``(max^(1/rho) + i / (steps - 1) (min^(1/rho) - max^(1/rho)))^rho``, descending, ``[steps]`` float64.

    Karras et al. 2022, Eq. 5. With ``steps=1`` the one level is ``sigma_max``.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return (high + ramp * (low - high)) ** rho
