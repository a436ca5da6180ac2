"""Processes on a table of noise levels, and what their networks predict."""

from abc import abstractmethod

import torch
from torch import Tensor

from mmspec.diffusion.processes.process import Process, Scalings

PREDICTIONS = ("noise", "velocity", "signal")


class Discrete(Process):
    """A network that knows the noise levels of a table alone, of any other the nearest.

    The network receives ``x / sqrt(sigma^2 + 1) = sqrt(abar) x`` and a timestep. It predicts the noise n (Ho et al.
    2020), the velocity ``sqrt(abar) n - sqrt(1 - abar) x0`` (Salimans and Ho 2022, section 4), or the clean signal x0
    itself; the squared error of D counts by ``1 / sigma^2``, ``1 + 1 / sigma^2`` or 1.

    Args:
        sigmas: the table, ascending.
        first_timestep: timestep of its lowest level.
        prediction: "noise", "velocity" or "signal".

    Raises:
        ValueError: for an unknown prediction.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Tensor, first_timestep: int, prediction: str = "noise") -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}, not {prediction!r}.")
        self.first_timestep, self.prediction = first_timestep, prediction
        self.sigma_min, self.sigma_max = float(sigmas[sigmas > 0][0]), float(sigmas[-1])
        self.register_buffer("sigmas", sigmas.float(), persistent=False)

    def nearest(self, sigma: Tensor) -> Tensor:
        """Index of the nearest level in the table, same shape, int64."""
        sigmas = self.sigmas.to(sigma.device).to(sigma)
        middles = (sigmas[1:] + sigmas[:-1]) / 2
        return (sigma[..., None] > middles).sum(-1)  # which exports have an operator for, unlike searchsorted

    def scalings(self, sigma: Tensor) -> Scalings:
        root = (sigma**2 + 1).rsqrt()  # sqrt(abar)
        c_skip, c_out = {
            "noise": (torch.ones_like(sigma), -sigma),
            "velocity": (root**2, -sigma * root),
            "signal": (torch.zeros_like(sigma), torch.ones_like(sigma)),
        }[self.prediction]
        c_noise = (self.nearest(sigma) + self.first_timestep).to(sigma.dtype)
        return Scalings(c_skip, c_out, root, c_noise)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        return self.sigmas.to(sigma.device).to(sigma)[self.nearest(sigma)]

    @abstractmethod
    def sampling_sigmas(self, steps: int) -> Tensor:
        """Entries of the table: descending, ``[steps]`` float64, without the final 0."""
