"""How a raw network becomes a denoiser: ``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)``."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmspec.diffusion.schedules import (
    ddpm_sigmas,
    geometric_sigmas,
    iddpm_sigmas,
    karras_sigmas,
    vp_sigma,
    vp_time,
)


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


class VP(Preconditioning):
    """Noise prediction on the variance preserving path of Song et al. 2021 (Karras et al. 2022, Table 1, "VP").

    Args:
        beta_d, beta_min: slope and start of beta(t).
        timesteps: M of the paper; c_noise is ``(M - 1) t``.
        epsilon_t: the lowest t of training, which gives sigma_min; t = 1 gives sigma_max.
    """

    def __init__(
        self, beta_d: float = 19.9, beta_min: float = 0.1, timesteps: int = 1000, epsilon_t: float = 1e-5
    ) -> None:
        super().__init__(beta_d=beta_d, beta_min=beta_min, timesteps=timesteps, epsilon_t=epsilon_t)
        if beta_d <= 0 or beta_min <= 0 or timesteps < 2 or not 0 < epsilon_t < 1:
            raise ValueError(
                f"VP needs beta_d > 0, beta_min > 0, timesteps > 1 and 0 < epsilon_t < 1, not beta_d={beta_d}, "
                f"beta_min={beta_min}, timesteps={timesteps}, epsilon_t={epsilon_t}."
            )
        self.beta_d, self.beta_min, self.timesteps = beta_d, beta_min, timesteps
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


class VE(Preconditioning):
    """Variance exploding path of Song et al. 2021 (Karras et al. 2022, Table 1, "VE").

    Args:
        sigma_min, sigma_max: range of training and of the sampler's grid.
    """

    def __init__(self, sigma_min: float = 0.02, sigma_max: float = 100.0) -> None:
        super().__init__(sigma_min=sigma_min, sigma_max=sigma_max)
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"VE needs 0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}.")
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def scalings(self, sigma: Tensor) -> Scalings:
        ones = torch.ones_like(sigma)
        return Scalings(c_skip=ones, c_out=sigma, c_in=ones, c_noise=(0.5 * sigma).log())

    def sampling_sigmas(self, steps: int) -> Tensor:
        """A geometric series from sigma_max to sigma_min."""
        return geometric_sigmas(steps, self.sigma_min, self.sigma_max)


class Flow(Preconditioning):
    """Flow matching on straight paths ``x_t = (1 - t) x0 + t n``, seen in sigma: the network gives ``n - x0``.

    Lipman et al. 2023 and Liu et al. 2023 with t = 1 for noise. ``sigma = t / (1 - t)``, and the network receives
    ``x_t = (1 - t) x`` and ``time_scale * t``. Euler's method in sigma is Euler's method in t.

    Args:
        t_min, t_max: range of t; t = 1 itself is sigma = infinity.
        time_scale: of c_noise: 1000 where the network was made for timesteps, as most embeddings are; 1 for plain t.
    """

    def __init__(self, t_min: float = 0.001, t_max: float = 0.999, time_scale: float = 1000.0) -> None:
        super().__init__(t_min=t_min, t_max=t_max, time_scale=time_scale)
        if not 0 < t_min < t_max < 1:
            raise ValueError(f"Flow needs 0 < t_min < t_max < 1, not {t_min} and {t_max}.")
        self.t_max, self.time_scale = t_max, time_scale
        self.sigma_min, self.sigma_max = t_min / (1 - t_min), t_max / (1 - t_max)

    def scalings(self, sigma: Tensor) -> Scalings:
        rest = 1 / (1 + sigma)  # 1 - t
        t = sigma * rest
        return Scalings(c_skip=rest, c_out=-t, c_in=rest, c_noise=self.time_scale * t)

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Evenly spaced t, from t_max in equal steps towards 0."""
        t = self.t_max * torch.arange(steps, 0, -1, dtype=torch.float64) / steps
        return t / (1 - t)


class NoisePrediction(Preconditioning):
    """What `DDPM` and `IDDPM` share: a table of noise levels, of which the network knows the nearest.

    The network receives ``x / sqrt(sigma^2 + 1) = sqrt(abar) x`` and a timestep, and predicts the noise.

    Args:
        sigmas: the table, ascending.
        first_timestep: timestep of its lowest level.
        config: constructor arguments of the subclass.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Tensor, first_timestep: int, **config: Any) -> None:
        super().__init__(**config)
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


class DDPM(NoisePrediction):
    """Noise prediction on a table of noise levels (Ho et al. 2020), seen in sigma; timesteps run from 0.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.schedules.ddpm_sigmas`.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "linear",
        timesteps: int = 1000,
        beta_min: float = 1e-4,
        beta_max: float = 0.02,
    ) -> None:
        super().__init__(
            ddpm_sigmas(schedule, timesteps, beta_min, beta_max),
            first_timestep=0,
            schedule=schedule if isinstance(schedule, str) else list(schedule),
            timesteps=timesteps,
            beta_min=beta_min,
            beta_max=beta_max,
        )

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Timesteps evenly spaced from the last of the table to the first (steps=1: the last alone)."""
        timesteps = torch.linspace(len(self.sigmas) - 1, 0, steps, dtype=torch.float64, device=self.sigmas.device)
        return self.sigmas.double()[timesteps.round().long()]


class LDM(DDPM):
    """`DDPM` as latent diffusion samples it (Rombach et al. 2022): from unit variance of ``sqrt(abar) x``, at evenly
    spaced timesteps above 0.

    Args:
        schedule, timesteps, beta_min, beta_max: the table, see `mmspec.diffusion.schedules.ddpm_sigmas`.
    """

    def __init__(
        self,
        schedule: str | Sequence[float] = "scaled_linear",
        timesteps: int = 1000,
        beta_min: float = 0.0015,
        beta_max: float = 0.0195,
    ) -> None:
        super().__init__(schedule, timesteps, beta_min, beta_max)

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Timesteps ``1 + i T / steps``, rounded down: those of CompVis's sampler where ``steps`` divides T.

        Else CompVis's takes other steps than asked for, or fails. More than T / 2 steps begin at timestep 0.
        """
        levels = len(self.sigmas)
        first = 1 if 2 * steps <= levels else 0
        timesteps = torch.arange(steps - 1, -1, -1, device=self.sigmas.device) * levels // max(steps, 1) + first
        return self.sigmas.double()[timesteps]

    def start_scale(self, sigma: float) -> float:
        return math.hypot(1, sigma)


class IDDPM(NoisePrediction):
    """Noise prediction on the cosine table (Nichol and Dhariwal 2021; Karras et al. 2022, Table 1, "iDDPM").

    The table goes down to sigma = 0, which is timestep -1.

    Args:
        timesteps, c_1, c_2: the table, see `mmspec.diffusion.schedules.iddpm_sigmas`.
    """

    def __init__(self, timesteps: int = 1000, c_1: float = 0.001, c_2: float = 0.008) -> None:
        levels = iddpm_sigmas(timesteps, c_1, c_2).flip(0)
        super().__init__(levels, first_timestep=-1, timesteps=timesteps, c_1=c_1, c_2=c_2)

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Entries of the table, evenly spaced in it, from the highest up to 81 to the lowest (Karras et al. 2022)."""
        levels = self.sigmas[(self.sigmas > 0) & (self.sigmas <= 81)].double().flip(0)
        places = torch.arange(steps, device=levels.device) * ((len(levels) - 1) / max(steps - 1, 1))
        return levels[places.round().long()]


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


PRECONDITIONINGS: dict[str, type[Preconditioning]] = {
    "EDM": EDM,
    "VP": VP,
    "VE": VE,
    "DDPM": DDPM,
    "LDM": LDM,
    "IDDPM": IDDPM,
    "DiffWave": DiffWave,
    "Flow": Flow,
}
