"""The variance exploding path (Song et al. 2021)."""

import math

import torch
from torch import Generator, Tensor

from mmspec.diffusion.processes.process import Process, Scalings


class VE(Process):
    """Variance exploding path of Song et al. 2021 (Karras et al. 2022, Table 1, "VE").

    Args:
        sigma_min, sigma_max: range of training and of the sampler's grid.
    """

    def __init__(self, sigma_min: float = 0.02, sigma_max: float = 100.0) -> None:
        super().__init__()
        if not 0 < sigma_min < sigma_max < math.inf:
            raise ValueError(f"VE needs 0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}.")
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def scalings(self, sigma: Tensor) -> Scalings:
        ones = torch.ones_like(sigma)
        return Scalings(c_skip=ones, c_out=sigma, c_in=ones, c_noise=(0.5 * sigma).log())

    def sampling_sigmas(self, steps: int) -> Tensor:
        """A geometric series from sigma_max to sigma_min."""
        return geometric_sigmas(steps, self.sigma_min, self.sigma_max)

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """ln sigma uniform between the two ends."""
        uniform = torch.rand(count, generator=generator, device=device)
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** uniform


def geometric_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """``max (min / max)^(i / (steps - 1))``, descending, ``[steps]`` float64 (Karras et al. 2022, Table 1, "VE")."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return sigma_max * (sigma_min / sigma_max) ** ramp
