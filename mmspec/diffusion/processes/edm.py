"""EDM (Karras et al. 2022): unit variance in and out at every noise level."""

import math
from typing import Annotated

import torch
from torch import Generator, Tensor

from mmspec.diffusion.noise import LogNormal
from mmspec.diffusion.processes.process import Process, Scalings
from mmspec.losses.auto import Auto


class EDM(Process):
    """Karras et al. 2022, Table 1, column "Ours".

    Training noise is log-normal. The paper's constants are for signals of standard deviation 0.5; ``auto`` in a
    configuration takes them in units of sigma_data, in which they mean the same for quieter signals, such as speech
    with pauses.

    Args:
        sigma_data: standard deviation of the clean signal.
        sigma_min, sigma_max: range of the sampler's grid.
        mean, std: of ln sigma in training, P_mean and P_std of the paper.
    """

    def __init__(
        self,
        sigma_data: Annotated[float, Auto(lambda sigma_data: sigma_data)] = 0.5,
        sigma_min: Annotated[float, Auto(lambda sigma_data: 0.002 * sigma_data / 0.5)] = 0.002,
        sigma_max: Annotated[float, Auto(lambda sigma_data: 80 * sigma_data / 0.5)] = 80.0,
        mean: Annotated[float, Auto(lambda sigma_data: -1.2 + math.log(sigma_data / 0.5))] = -1.2,
        std: float = 1.2,
    ) -> None:
        super().__init__()
        if not (0 < sigma_data < math.inf and 0 < sigma_min < sigma_max < math.inf):
            raise ValueError(
                f"EDM needs sigma_data > 0 and 0 < sigma_min < sigma_max, not sigma_data={sigma_data}, "
                f"sigma_min={sigma_min}, sigma_max={sigma_max}."
            )
        self.sigma_data = sigma_data
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.noise = LogNormal(mean, std)

    def scalings(self, sigma: Tensor) -> Scalings:
        variance = sigma**2 + self.sigma_data**2
        return Scalings(
            c_skip=self.sigma_data**2 / variance,
            c_out=sigma * self.sigma_data / variance.sqrt(),
            c_in=1 / variance.sqrt(),
            c_noise=sigma.log() / 4,
        )

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        return self.noise.draw(count, generator, device)
