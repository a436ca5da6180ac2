"""Flow matching (Lipman et al. 2023; Liu et al. 2023)."""

import math

import torch
from torch import Generator, Tensor

from mmspec.diffusion.processes.process import Process, Scalings


class Flow(Process):
    """Flow matching on straight paths ``x_t = (1 - t) x0 + t n``, seen in sigma: the network gives ``n - x0``.

    Lipman et al. 2023 and Liu et al. 2023 with t = 1 for noise. ``sigma = t / (1 - t)``, and the network receives
    ``x_t = (1 - t) x`` and ``time_scale * t``. Euler's method in sigma is Euler's method in t.

    Args:
        t_min, t_max: range of t; t = 1 itself is sigma = infinity.
        time_scale: of c_noise: 1000 where the network was made for timesteps, as most embeddings are; 1 for plain t.
    """

    def __init__(self, t_min: float = 0.001, t_max: float = 0.999, time_scale: float = 1000.0) -> None:
        super().__init__()
        if not 0 < t_min < t_max < 1:
            raise ValueError(f"Flow needs 0 < t_min < t_max < 1, not {t_min} and {t_max}.")
        if not 0 < time_scale < math.inf:
            raise ValueError(f"Flow needs time_scale > 0, not {time_scale}.")
        self.t_min, self.t_max, self.time_scale = t_min, t_max, time_scale
        self.sigma_min, self.sigma_max = t_min / (1 - t_min), t_max / (1 - t_max)

    def scalings(self, sigma: Tensor) -> Scalings:
        rest = 1 / (1 + sigma)  # 1 - t
        t = sigma * rest
        return Scalings(c_skip=rest, c_out=-t, c_in=rest, c_noise=self.time_scale * t)

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Evenly spaced t, from t_max in equal steps towards 0."""
        t = self.t_max * torch.arange(steps, 0, -1, dtype=torch.float64) / steps
        return t / (1 - t)

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """t uniform (Lipman et al. 2023)."""
        t = self.t_min + (self.t_max - self.t_min) * torch.rand(count, generator=generator, device=device)
        return t / (1 - t)
