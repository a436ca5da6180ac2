"""Which noise levels are drawn in training: a process says, unless a distribution takes its place."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor


class NoiseDistribution(ABC):
    """A distribution of sigma; every process is one."""

    @abstractmethod
    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]`` float32 on ``device``."""


@dataclass(frozen=True)
class LogNormal(NoiseDistribution):
    """``ln sigma ~ N(mean, std^2)``: EDM's training noise (Karras et al. 2022, Table 1).

    With mean 0 and std 1 it is the logit-normal t of flow matching (Esser et al. 2024), for ``sigma = t / (1 - t)``.

    Args:
        mean, std: P_mean and P_std of the paper.

    Raises:
        ValueError: unless both are finite, and std is 0 or more.
    """

    mean: float = -1.2
    std: float = 1.2

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 <= self.std < math.inf):
            raise ValueError(f"ln sigma needs a finite mean and std >= 0, not mean={self.mean}, std={self.std}.")

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``."""
        return (torch.randn(count, generator=generator, device=device) * self.std + self.mean).exp()
