"""Which noise levels are drawn in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from mmspec.diffusion.schedules import ddpm_sigmas, iddpm_sigmas, vp_sigma


class NoiseDistribution(Protocol):
    """A distribution of sigma."""

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]`` float32 on ``device``."""
        ...


@dataclass(frozen=True)
class LogNormal:
    """``ln sigma ~ N(mean, std^2)``: EDM's training noise (Karras et al. 2022, Table 1).

    With mean 0 and std 1 it is the logit-normal t of flow matching (Esser et al. 2024), for ``sigma = t / (1 - t)``.

    Args:
        mean, std: P_mean and P_std of the paper.
    """

    mean: float = -1.2
    std: float = 1.2

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``."""
        return (torch.randn(count, generator=generator, device=device) * self.std + self.mean).exp()


@dataclass(frozen=True)
class TableUniform:
    """A uniformly drawn timestep of DDPM's table (Ho et al. 2020); arguments as in `ddpm_sigmas`."""

    schedule: str | Sequence[float] = "linear"
    timesteps: int = 1000
    beta_min: float = 1e-4
    beta_max: float = 0.02

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``, each an entry of the table."""
        table = ddpm_sigmas(self.schedule, self.timesteps, self.beta_min, self.beta_max).float().to(device)
        return table[torch.randint(len(table), (count,), generator=generator, device=device)]


@dataclass(frozen=True)
class IDDPMUniform:
    """A uniformly drawn timestep of iDDPM's table; arguments as in `mmspec.diffusion.schedules.iddpm_sigmas`."""

    timesteps: int = 1000
    c_1: float = 0.001
    c_2: float = 0.008

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``, each an entry of the table above 0."""
        table = iddpm_sigmas(self.timesteps, self.c_1, self.c_2).to(device)
        return table[torch.randint(self.timesteps, (count,), generator=generator, device=device)]


@dataclass(frozen=True)
class VPUniform:
    """t uniform between 1 and epsilon_t on the variance preserving path (Karras et al. 2022, Table 1, "VP").

    Args:
        beta_d, beta_min, epsilon_t: as of `mmspec.diffusion.preconditioning.VP`.
    """

    beta_d: float = 19.9
    beta_min: float = 0.1
    epsilon_t: float = 1e-5

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``."""
        uniform = torch.rand(count, generator=generator, device=device)
        return vp_sigma(1 + uniform * (self.epsilon_t - 1), self.beta_d, self.beta_min)


@dataclass(frozen=True)
class LogUniform:
    """``ln sigma`` uniform between two levels (Karras et al. 2022, Table 1, "VE").

    Args:
        sigma_min, sigma_max: the lowest and the highest level.
    """

    sigma_min: float = 0.02
    sigma_max: float = 100.0

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``."""
        uniform = torch.rand(count, generator=generator, device=device)
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** uniform


@dataclass(frozen=True)
class FlowUniform:
    """t uniform, ``sigma = t / (1 - t)``: flow matching's training noise (Lipman et al. 2023).

    Args:
        t_min, t_max: range of t, in (0, 1).
    """

    t_min: float = 0.001
    t_max: float = 0.999

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``."""
        t = self.t_min + (self.t_max - self.t_min) * torch.rand(count, generator=generator, device=device)
        return t / (1 - t)
