"""A small network misses the rarer of two frequencies: Diffusion Probabilistic Model Made Slim, Example 1 and figure 4.

Signals are cosines of 3 or 5 cycles, every fifth of 3; the denoiser is a network of two layers with few or many hidden
units. The paper says so much; length, optimizer, process and budget are arguments here.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mmspec.diffusion import AnyObjective, Denoiser, sample
from mmspec.diffusion.processes import Process
from mmspec.networks import Network

FREQUENCIES = (3, 5)  # cycles per signal
SHARES = (0.2, 0.8)  # of the signals
MINORITY = FREQUENCIES[0]


class TwoLayers(Network):
    """A feed-forward network with one hidden layer of ReLUs, which sees the whole signal and the noise level.

    Shape: x ``[B, 1, length]``, c_noise ``[B]`` -> ``[B, 1, length]``; labels must be None.
    """

    def __init__(self, length: int, hidden: int) -> None:
        super().__init__()
        self.dims = self.in_channels = self.out_channels = 1
        self.layers = nn.Sequential(nn.Linear(length + 1, hidden), nn.ReLU(), nn.Linear(hidden, length))

    def forward(self, x: Tensor, c_noise: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is not None:
            raise ValueError("these signals have no classes: labels must be None.")
        denoised: Tensor = self.layers(torch.cat([x.flatten(1), c_noise[:, None]], dim=1))
        return denoised[:, None]


def waves(length: int) -> Tensor:
    """One period after another, sampled evenly: ``cos(2 pi a x)`` of each frequency a, ``[2, 1, length]``."""
    x = torch.arange(length, dtype=torch.float64) / length
    return torch.stack([torch.cos(2 * math.pi * a * x) for a in FREQUENCIES])[:, None].float()


def draw_waves(count: int, length: int, generator: Generator) -> Tensor:
    """Real signals, ``[count, 1, length]``."""
    return waves(length)[(torch.rand(count, generator=generator) >= SHARES[0]).long()]


def make_denoiser(length: int, hidden: int, process: Process, seed: int) -> Denoiser:
    """A denoiser whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Denoiser(TwoLayers(length, hidden), process, signal_shape=(1, length))


def train(
    denoiser: Denoiser,
    objective: AnyObjective,
    seed: int,
    *,
    steps: int = 3000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    on_step: Callable[[int], Any] = lambda step: None,
) -> None:
    """Train on fresh signals: Adam, its rate falling linearly to 0."""
    generator = Generator().manual_seed(seed)
    _, length = denoiser.signal_shape or (1, 0)
    optimizer = torch.optim.Adam(denoiser.network.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for step in range(steps):
        x0 = draw_waves(batch_size, length, generator)
        loss = objective(denoiser, x0, step=step, draw=objective.draw(x0.shape, generator)).total.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        on_step(step)


def draw(denoiser: Denoiser, num: int, sigmas: Tensor, seed: int) -> Tensor:
    """Samples by DDPM's ancestral sampler over all noise levels, ``[num, 1, length]``.

    Args:
        sigmas: noise levels, ascending, ``[levels]``.
    """
    shape = (num, *(denoiser.signal_shape or ()))
    return sample(denoiser, shape, sampler="ddpm", sigmas=sigmas.flip(0), generator=Generator().manual_seed(seed))


def magnitudes(x: Tensor) -> Tensor:
    """DFT magnitudes at 0 to length / 2 cycles, ``[N, length // 2 + 1]``: a cosine of amplitude 1 has magnitude 1."""
    magnitude: Tensor = torch.fft.rfft(x[:, 0]).abs()
    return 2 / x.shape[-1] * magnitude


def share_of(frequency: int, magnitude: Tensor) -> float:
    """Share of the signals whose strongest frequency, the mean value aside, is this one; of `magnitudes` ``[N, F]``."""
    return (1 + magnitude[:, 1:].argmax(1) == frequency).double().mean().item()


def stray(magnitude: Tensor) -> float:
    """Mean of `magnitudes` ``[N, F]`` where real signals have none: at all frequencies but 0 and the two."""
    silent = [a for a in range(1, magnitude.shape[1]) if a not in FREQUENCIES]
    return magnitude[:, silent].mean().item()
