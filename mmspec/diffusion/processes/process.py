"""What a process is: how a network becomes a denoiser, which noise it is trained on, and how its errors weigh."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from mmspec.components import Configured
from mmspec.diffusion.noise import NoiseDistribution


class Scalings(NamedTuple):
    """The four functions of sigma of Karras et al. 2022, Eq. 7, each ``[B]``."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


class Process(NoiseDistribution, Configured, nn.Module):
    """A diffusion process in sigma: ``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)``.

    A subclass writes `scalings` and `draw`; the rest where it differs. Its arguments are kept in saved denoisers.

    Attributes:
        sigma_min, sigma_max: noise levels between which samplers walk.
        sigma_end: where they end; above 0 for models that are sampled down to the lowest level of their table alone,
            whose samples are ``x / sqrt(sigma_end^2 + 1) = sqrt(abar) x``.
    """

    sigma_min: float
    sigma_max: float
    sigma_end: float = 0.0

    @abstractmethod
    def scalings(self, sigma: Tensor) -> Scalings:
        """c_skip, c_out, c_in and c_noise at noise levels sigma ``[B]``."""

    @abstractmethod
    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels to train on, ``[count]`` float32 on ``device``."""

    def weight(self, sigma: Tensor) -> Tensor:
        """How much the squared error of D counts at noise levels sigma ``[B]``: by ``1 / c_out^2`` as the network's."""
        return self.scalings(sigma).c_out ** -2

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the network knows, same shape; all of them, unless there is a table."""
        return sigma

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Noise levels for a sampler of so many steps: descending, ``[steps]`` float64, without the final 0."""
        return karras_sigmas(steps, self.sigma_min, self.sigma_max)

    def start_scale(self, sigma: float) -> float:
        """Standard deviation of the noise that a sampler starts from at noise level sigma."""
        return sigma


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """``(max^(1/rho) + i / (steps - 1) (min^(1/rho) - max^(1/rho)))^rho``, descending, ``[steps]`` float64.

    Karras et al. 2022, Eq. 5. With ``steps=1`` the one level is ``sigma_max``.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    levels: Tensor = (high + ramp * (low - high)) ** rho
    return levels
