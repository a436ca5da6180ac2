"""The variance preserving path (Song et al. 2021)."""

import math

import torch
from torch import Generator, Tensor

from mmspec.diffusion.processes.process import Process, Scalings


class VP(Process):
    """Noise prediction on the variance preserving path of Song et al. 2021 (Karras et al. 2022, Table 1, "VP").

    Args:
        beta_d, beta_min: slope and start of beta(t).
        timesteps: M of the paper; c_noise is ``(M - 1) t``.
        epsilon_t: the lowest t of training, which gives sigma_min; t = 1 gives sigma_max.
    """

    def __init__(
        self, beta_d: float = 19.9, beta_min: float = 0.1, timesteps: int = 1000, epsilon_t: float = 1e-5
    ) -> None:
        super().__init__()
        if not (0 < beta_d < math.inf and 0 < beta_min < math.inf and timesteps > 1 and 0 < epsilon_t < 1):
            raise ValueError(
                f"VP needs beta_d > 0, beta_min > 0, timesteps > 1 and 0 < epsilon_t < 1, not beta_d={beta_d}, "
                f"beta_min={beta_min}, timesteps={timesteps}, epsilon_t={epsilon_t}."
            )
        self.beta_d, self.beta_min, self.timesteps, self.epsilon_t = beta_d, beta_min, timesteps, epsilon_t
        low, high = vp_sigma(torch.tensor([epsilon_t, 1.0]), beta_d, beta_min).tolist()
        self.sigma_min, self.sigma_max = low, high

    def scalings(self, sigma: Tensor) -> Scalings:
        return Scalings(
            c_skip=torch.ones_like(sigma),
            c_out=-sigma,
            c_in=1 / (sigma**2 + 1).sqrt(),
            c_noise=(self.timesteps - 1) * vp_time(sigma, self.beta_d, self.beta_min),
        )

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Evenly spaced t from 1 down to 1e-3, where this path's samplers stop (Karras et al. 2022, Table 1)."""
        time = torch.linspace(1, 1e-3, steps, dtype=torch.float64)
        return vp_sigma(time, self.beta_d, self.beta_min).clamp(max=self.sigma_max)

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """t uniform between 1 and epsilon_t."""
        uniform = torch.rand(count, generator=generator, device=device)
        return vp_sigma(1 + uniform * (self.epsilon_t - 1), self.beta_d, self.beta_min)


def vp_sigma(time: Tensor, beta_d: float, beta_min: float) -> Tensor:
    """``sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1)``: the variance preserving path in sigma (Karras et al. 2022).

    Of times of any shape. Written out, not with expm1: in float32 the lowest levels are those that EDM's networks were
    trained on.
    """
    return ((0.5 * beta_d * time**2 + beta_min * time).exp() - 1).sqrt()


def vp_time(sigma: Tensor, beta_d: float, beta_min: float) -> Tensor:
    """The t at which `vp_sigma` is sigma, same shape."""
    return ((beta_min**2 + 2 * beta_d * (1 + sigma**2).log()).sqrt() - beta_min) / beta_d
