"""How far samples are from where the probability flow ends, by sampler and calls of the denoiser: root mean square over
pixels and 32 samples, in dB of the data's standard deviation. The denoiser is the exact one of 1,000 patches of
photographs, each blurred by noise of 0.05, so that nothing is due to training; the end is that of Heun's method in 250
steps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import Figures, Findings, Table
from data_prep.photographs import patches
from mmspec.diffusion import sample
from mmspec.diffusion.processes import EDM

CALLS = (7, 9, 13, 19, 35)
SAMPLERS = ("euler", "heun", "dpmpp_2m", "unipc")
BLUR = 0.05


class Exact:
    """``E[x0 | x, sigma]`` of a mixture of Gaussians around pictures ``[N, C, H, W]``."""

    def __init__(self, pictures: Tensor) -> None:
        self.means, self.shape = pictures.flatten(1), pictures.shape[1:]
        self.squares = self.means.square().sum(1) / 2

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        flat, noise = x.flatten(1), sigma[:, None] ** 2
        likelihood = (flat @ self.means.T - self.squares) / (noise + BLUR**2)
        mean = likelihood.softmax(1) @ self.means
        return ((BLUR**2 * flat + noise * mean) / (BLUR**2 + noise)).view_as(x)


def steps_of(sampler: str, calls: int) -> int:
    return (calls + 1) // 2 if sampler == "heun" else calls


@torch.inference_mode()
def main(rounds: int = 1, count: int = 1000, calls: Sequence[int] = CALLS) -> Findings:
    found = [picture.data for _, picture in patches(32, {"train": count})]
    pictures = torch.from_numpy(np.stack(found)).double()
    pictures = pictures.permute(0, 3, 1, 2) / 127.5 - 1
    denoiser, process = Exact(pictures), EDM()
    start = torch.randn(32, *denoiser.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def ends(sampler: str, steps: int) -> Tensor:
        return sample(denoiser, start, sampler=sampler, sigmas=process.sampling_sigmas(steps))

    exact, errors = ends("heun", 250), dict[tuple[str, int], float]()
    for sampler in SAMPLERS:
        for called in calls:
            difference = ends(sampler, steps_of(sampler, called)) - exact
            errors[sampler, called] = difference.square().mean().sqrt().item() / pictures.std().item()
    decibels = {key: 20 * torch.tensor(error).log10().item() for key, error in errors.items()}
    rows = [[sampler, *(f"{decibels[sampler, called]:.1f} dB" for called in calls)] for sampler in SAMPLERS]
    figures: Figures = {
        f"heun over unipc, {called} calls": (errors["heun", called] / errors["unipc", called], None) for called in calls
    }
    return Findings([Table(["sampler", *(f"{called} calls" for called in calls)], rows)], figures)
