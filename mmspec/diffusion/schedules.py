"""Noise levels as functions of time: DDPM's tables, the variance preserving path, and the grids samplers walk down."""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

BETA_SCHEDULES = ("linear", "scaled_linear", "cosine")


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
    """The betas of a schedule, ``[timesteps]`` float64; arguments as for `ddpm_sigmas`."""
    if not isinstance(schedule, str):
        return torch.tensor(list(schedule), dtype=torch.float64)
    if timesteps < 1:
        raise ValueError(f"timesteps must be 1 or more, not {timesteps}.")
    if schedule == "linear":
        return torch.linspace(beta_min, beta_max, timesteps, dtype=torch.float64)
    if schedule == "scaled_linear":
        return torch.linspace(beta_min**0.5, beta_max**0.5, timesteps, dtype=torch.float64) ** 2
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


def geometric_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """``max (min / max)^(i / (steps - 1))``, descending, ``[steps]`` float64 (Karras et al. 2022, Table 1, "VE")."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return sigma_max * (sigma_min / sigma_max) ** ramp


@functools.cache
def iddpm_sigmas(timesteps: int = 1000, c_1: float = 0.001, c_2: float = 0.008) -> Tensor:
    """The levels u_0 > ... > u_timesteps = 0 of Karras et al. 2022, Table 1, "iDDPM", ``[timesteps + 1]`` float32.

    Nichol and Dhariwal's cosine schedule once more, in single precision as EDM's networks were given it, which is up
    to 5e-4 away from `ddpm_sigmas`.

    Args:
        timesteps: M of the paper.
        c_1, c_2: the least ratio of neighbouring abar, and the offset of the cosine.

    Raises:
        ValueError: for a table without entries, or constants outside (0, 1).
    """
    if timesteps < 1 or not (0 < c_1 < 1 and 0 < c_2 < 1):
        raise ValueError(
            f"timesteps must be 1 or more and c_1 and c_2 between 0 and 1, not {timesteps}, {c_1} and {c_2}."
        )
    steps = torch.arange(timesteps + 1, device="cpu")
    alpha_bar = (0.5 * math.pi * steps / timesteps / (c_2 + 1)).sin() ** 2
    ratios = (alpha_bar[:-1] / alpha_bar[1:]).clamp(min=c_1)
    levels = torch.zeros(timesteps + 1, device="cpu")
    for j in range(timesteps, 0, -1):
        levels[j - 1] = ((levels[j] ** 2 + 1) / ratios[j - 1] - 1).sqrt()
    return levels


def vp_sigma(time: Tensor, beta_d: float, beta_min: float) -> Tensor:
    """``sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1)``: the variance preserving path in sigma (Karras et al. 2022).

    Written out, not with expm1: in float32 the lowest levels are those that EDM's networks were trained on.
    """
    return ((0.5 * beta_d * time**2 + beta_min * time).exp() - 1).sqrt()


def vp_time(sigma: Tensor, beta_d: float, beta_min: float) -> Tensor:
    """The t at which `vp_sigma` is sigma."""
    return ((beta_min**2 + 2 * beta_d * (1 + sigma**2).log()).sqrt() - beta_min) / beta_d
