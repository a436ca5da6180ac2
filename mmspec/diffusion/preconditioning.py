"""How a raw network becomes a denoiser: ``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)``."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmspec.diffusion.schedules import ddpm_sigmas, karras_sigmas


class Scalings(NamedTuple):
    """The four functions of sigma of Karras et al. 2022, Eq. 7, each ``[B]``."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


class Preconditioning(nn.Module):
    """What all preconditionings share.

    Attributes:
        sigma_min, sigma_max: noise levels between which samplers walk.
        config: constructor arguments, as written to a saved denoiser's config.json.
    """

    sigma_min: float
    sigma_max: float

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    def scalings(self, sigma: Tensor) -> Scalings:
        """c_skip, c_out, c_in and c_noise at noise levels sigma ``[B]``."""
        raise NotImplementedError

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the network knows, same shape; all of them, unless there is a table."""
        return sigma

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Noise levels for a sampler of so many steps: descending, ``[steps]`` float64, without the final 0."""
        return karras_sigmas(steps, self.sigma_min, self.sigma_max)

    def start_scale(self, sigma: float) -> float:
        """Standard deviation of the noise that a sampler starts from at noise level sigma."""
        return sigma


class EDM(Preconditioning):
    """Karras et al. 2022, Table 1, column "Ours".

    Args:
        sigma_data: standard deviation of the clean signal.
        sigma_min, sigma_max: range of the sampler's grid.
    """

    def __init__(self, sigma_data: float = 0.5, sigma_min: float = 0.002, sigma_max: float = 80.0) -> None:
        super().__init__(sigma_data=sigma_data, sigma_min=sigma_min, sigma_max=sigma_max)
        if sigma_data <= 0 or not 0 < sigma_min < sigma_max:
            raise ValueError(
                f"EDM needs sigma_data > 0 and 0 < sigma_min < sigma_max, not sigma_data={sigma_data}, "
                f"sigma_min={sigma_min}, sigma_max={sigma_max}."
            )
        self.sigma_data = sigma_data
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def scalings(self, sigma: Tensor) -> Scalings:
        variance = sigma**2 + self.sigma_data**2
        return Scalings(
            c_skip=self.sigma_data**2 / variance,
            c_out=sigma * self.sigma_data / variance.sqrt(),
            c_in=1 / variance.sqrt(),
            c_noise=sigma.log() / 4,
        )


class DDPM(Preconditioning):
    """Noise prediction on a table of noise levels (Ho et al. 2020), seen in sigma.

    The network receives ``x / sqrt(sigma^2 + 1) = sqrt(abar) x`` and the index t of the nearest level in the table.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.schedules.ddpm_sigmas`.
    """

    sigmas: Tensor

    def __init__(
        self,
        schedule: str | Sequence[float] = "linear",
        timesteps: int = 1000,
        beta_min: float = 1e-4,
        beta_max: float = 0.02,
    ) -> None:
        super().__init__(schedule=schedule, timesteps=timesteps, beta_min=beta_min, beta_max=beta_max)
        table = ddpm_sigmas(schedule, timesteps, beta_min, beta_max)
        self.sigma_min, self.sigma_max = float(table[0]), float(table[-1])
        self.register_buffer("sigmas", table.float(), persistent=False)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Index of the nearest level in the table, same shape, int64."""
        sigmas = self.sigmas.to(sigma)
        middles = (sigmas[1:] + sigmas[:-1]) / 2
        return torch.searchsorted(middles, sigma.contiguous())

    def scalings(self, sigma: Tensor) -> Scalings:
        return Scalings(
            c_skip=torch.ones_like(sigma),
            c_out=-sigma,
            c_in=(sigma**2 + 1).rsqrt(),
            c_noise=self.timestep(sigma).to(sigma.dtype),
        )

    def round_sigma(self, sigma: Tensor) -> Tensor:
        return self.sigmas.to(sigma)[self.timestep(sigma)]

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Timesteps evenly spaced from the last of the table to the first (steps=1: the last alone)."""
        timesteps = torch.linspace(len(self.sigmas) - 1, 0, steps, dtype=torch.float64, device=self.sigmas.device)
        return self.sigmas.double()[timesteps.round().long()]


class DiffWave(DDPM):
    """Noise prediction by a network that takes fractional timesteps (Kong et al. 2021), as LMNT trains and samples it.

    Between two levels of the table the timestep is linear in ``sqrt(abar) = 1 / sqrt(sigma^2 + 1)`` (appendix B), so
    that a sampler may visit levels that training did not. The table ends before all of the signal is gone; samplers
    start from unit variance of ``sqrt(abar) x`` all the same.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.schedules.ddpm_sigmas`.
        inference_noise_schedule: betas of the levels that a sampler of as many steps visits; with any other number
            of steps it visits levels of the table, as with `DDPM`.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "linear",
        timesteps: int = 50,
        beta_min: float = 1e-4,
        beta_max: float = 0.05,
        inference_noise_schedule: Sequence[float] = (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5),
    ) -> None:
        super().__init__(schedule, timesteps, beta_min, beta_max)
        if len(self.sigmas) < 2:
            raise ValueError("DiffWave interpolates between noise levels: its table needs two or more.")
        self.config["inference_noise_schedule"] = list(inference_noise_schedule)
        self._inference_sigmas = ddpm_sigmas(inference_noise_schedule)

    def scalings(self, sigma: Tensor) -> Scalings:
        return super().scalings(sigma)._replace(c_noise=self.timestep(sigma))

    def timestep(self, sigma: Tensor) -> Tensor:
        """Fractional place of noise levels in the table, same shape and dtype."""
        levels, level = ((s.double() ** 2 + 1).rsqrt() for s in (self.sigmas, self.round_sigma(sigma)))
        above = torch.searchsorted(-levels, -level).clamp(1, len(levels) - 1)
        return (above - (level - levels[above]) / (levels[above - 1] - levels[above])).to(sigma.dtype)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """Within the range of the table every level is known."""
        return torch.clamp(sigma, self.sigmas[0].to(sigma), self.sigmas[-1].to(sigma))

    def sampling_sigmas(self, steps: int) -> Tensor:
        """The levels of ``inference_noise_schedule`` where it has so many, else of the table."""
        if steps == len(self._inference_sigmas):
            return self._inference_sigmas.flip(0)
        return super().sampling_sigmas(steps)

    def start_scale(self, sigma: float) -> float:
        return math.hypot(1, sigma)


PRECONDITIONINGS: dict[str, type[Preconditioning]] = {"EDM": EDM, "DDPM": DDPM, "DiffWave": DiffWave}
