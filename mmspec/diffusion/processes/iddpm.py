"""iDDPM (Nichol and Dhariwal 2021): noise prediction on the cosine table."""

import functools
import math

import torch
from torch import Generator, Tensor

from mmspec.diffusion.processes.ddpm import MOST_TIMESTEPS
from mmspec.diffusion.processes.discrete import Discrete


class IDDPM(Discrete):
    """Noise prediction on the cosine table (Nichol and Dhariwal 2021; Karras et al. 2022, Table 1, "iDDPM").

    The table goes down to sigma = 0, which is timestep -1.

    Args:
        timesteps, c_1, c_2: the table, see `iddpm_sigmas`.
    """

    def __init__(self, timesteps: int = 1000, c_1: float = 0.001, c_2: float = 0.008) -> None:
        super().__init__(iddpm_sigmas(timesteps, c_1, c_2).flip(0), first_timestep=-1)

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """An entry uniformly from the table, but 0."""
        last = len(self.sigmas) - 1
        return self.sigmas.to(device)[last - torch.randint(last, (count,), generator=generator, device=device)]

    def sampling_sigmas(self, steps: int) -> Tensor:
        """Entries of the table, evenly spaced in it, from the highest up to 81 to the lowest (Karras et al. 2022)."""
        levels = self.sigmas[(self.sigmas > 0) & (self.sigmas <= 81)].cpu().double().flip(0)
        places = torch.arange(steps, device=levels.device) * ((len(levels) - 1) / max(steps - 1, 1))
        return levels[places.round().long()]


@functools.cache
def iddpm_sigmas(timesteps: int = 1000, c_1: float = 0.001, c_2: float = 0.008) -> Tensor:
    """The levels u_0 > ... > u_timesteps = 0 of Karras et al. 2022, Table 1, "iDDPM", ``[timesteps + 1]`` float32.

    Nichol and Dhariwal's cosine schedule once more, in single precision as EDM's networks were given it, which is up
    to 5e-4 away from `ddpm_sigmas`.

    Args:
        timesteps: M of the paper.
        c_1, c_2: the least ratio of neighbouring abar, and the offset of the cosine.

    Raises:
        ValueError: for a table without entries, or constants outside (0, 1).
    """
    if not 1 <= timesteps <= MOST_TIMESTEPS or not (0 < c_1 < 1 and 0 < c_2 < 1):
        raise ValueError(
            f"timesteps must be from 1 to {MOST_TIMESTEPS} and c_1 and c_2 between 0 and 1, not {timesteps}, {c_1} and "
            f"{c_2}."
        )
    steps = torch.arange(timesteps + 1, device="cpu")
    alpha_bar = (0.5 * math.pi * steps / timesteps / (c_2 + 1)).sin() ** 2
    ratios = (alpha_bar[:-1] / alpha_bar[1:]).clamp(min=c_1)
    levels = torch.zeros(timesteps + 1, device="cpu")
    for j in range(timesteps, 0, -1):
        levels[j - 1] = ((levels[j] ** 2 + 1) / ratios[j - 1] - 1).sqrt()
    return levels
