"""Which noise levels are drawn in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from mmspec.diffusion.schedules import ddpm_sigmas


class NoiseDistribution(Protocol):
    """A distribution of sigma."""

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]`` float32 on ``device``."""
        ...


@dataclass(frozen=True)
class LogNormal:
    """``ln sigma ~ N(mean, std^2)``: EDM's training noise (Karras et al. 2022, Table 1).

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
