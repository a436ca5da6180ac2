"""Tables of noise levels: DDPM's betas, and the grids that samplers walk down."""

import math

import torch
from torch import Tensor

BETA_SCHEDULES = ("linear", "cosine")


def ddpm_sigmas(
    schedule: str = "linear", timesteps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02
) -> Tensor:
    """``sigma_t = sqrt((1 - abar_t) / abar_t)`` for t = 0 .. timesteps - 1, ascending, ``[timesteps]`` float64.

    Args:
        schedule: "linear" (Ho et al. 2020: betas evenly spaced) or "cosine" (Nichol and Dhariwal 2021, Eq. 17:
            ``abar = cos^2((t / T + s) / (1 + s) pi / 2)``, s = 0.008, betas at most 0.999).
        timesteps: length of the table.
        beta_min, beta_max: first and last beta of the linear schedule.

    Raises:
        ValueError: for an unknown schedule or a table without entries.
    """
    if timesteps < 1:
        raise ValueError(f"timesteps must be 1 or more, not {timesteps}.")
    if schedule == "linear":
        betas = torch.linspace(beta_min, beta_max, timesteps, dtype=torch.float64)
    elif schedule == "cosine":
        t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        alpha_bar = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    else:
        raise ValueError(f"beta schedule must be one of {', '.join(BETA_SCHEDULES)}, not {schedule!r}.")
    alpha_bar = torch.cumprod(1 - betas, dim=0)
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """``(max^(1/rho) + i / (steps - 1) (min^(1/rho) - max^(1/rho)))^rho``, descending, ``[steps]`` float64.

    Karras et al. 2022, Eq. 5. With ``steps=1`` the one level is ``sigma_max``.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return (high + ramp * (low - high)) ** rho
