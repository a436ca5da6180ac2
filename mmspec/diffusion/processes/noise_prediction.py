"""Noise prediction on a table of noise levels."""

from abc import abstractmethod

import torch
from torch import Tensor

from mmspec.diffusion.processes.process import Process, Scalings


class NoisePrediction(Process):
    """A network that knows the noise levels of a table alone, of any other the nearest.

    The network receives ``x / sqrt(sigma^2 + 1) = sqrt(abar) x`` and a timestep, and predicts the noise.

    Args:
        sigmas: the table, ascending.
        first_timestep: timestep of its lowest level.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Tensor, first_timestep: int) -> None:
        super().__init__()
        self.first_timestep = first_timestep
        self.sigma_min, self.sigma_max = float(sigmas[sigmas > 0][0]), float(sigmas[-1])
        self.register_buffer("sigmas", sigmas.float(), persistent=False)

    def nearest(self, sigma: Tensor) -> Tensor:
        """Index of the nearest level in the table, same shape, int64."""
        sigmas = self.sigmas.to(sigma)
        middles = (sigmas[1:] + sigmas[:-1]) / 2
        return torch.searchsorted(middles, sigma.contiguous())

    def scalings(self, sigma: Tensor) -> Scalings:
        return Scalings(
            c_skip=torch.ones_like(sigma),
            c_out=-sigma,
            c_in=(sigma**2 + 1).rsqrt(),
            c_noise=(self.nearest(sigma) + self.first_timestep).to(sigma.dtype),
        )

    def round_sigma(self, sigma: Tensor) -> Tensor:
        return self.sigmas.to(sigma)[self.nearest(sigma)]

    @abstractmethod
    def sampling_sigmas(self, steps: int) -> Tensor:
        """Entries of the table: descending, ``[steps]`` float64, without the final 0."""
