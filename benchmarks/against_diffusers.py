"""The same work by diffusers: a UNet of equal widths, a training step of one and the same network with noise, loss,
optimizer and average, and what a walk of DPM-Solver++(2M) takes besides its network.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.input_pipeline import training_step
from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import Times, interleave
from mmspec.diffusion import Denoiser, Objective, sample
from mmspec.diffusion.processes import DDPM
from mmspec.metrics.cost import count
from mmspec.networks import UNet
from mmspec.networks.diffusers_unet import DiffusersUNet
from mmspec.training.ema import update_ema

SHAPE, BATCH, STEPS = (3, 64, 64), 4, 20
WIDTH, FACTORS = 64, (1, 2, 2)
OPTIONS = {
    "sample_size": SHAPE[-1],
    "block_out_channels": [WIDTH * factor for factor in FACTORS],
    "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
}
DECAY = 0.999
Case = Callable[[], object]


def networks() -> dict[str, nn.Module]:
    """Equal widths, blocks and levels with attention."""
    ours = UNet(2, 3, model_channels=WIDTH, channel_mult=FACTORS, num_blocks=2, attention_levels=(2,))
    return {"diffusers": DiffusersUNet("UNet2DModel", OPTIONS), "mmspec": ours}


def theirs(network: nn.Module, x0: Tensor) -> Case:
    """A step of diffusers' example of unconditional training: its noise, loss and average."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    scheduler, average = DDPMScheduler(), EMAModel(network.parameters(), decay=DECAY)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)

    def step() -> None:
        noise = torch.randn_like(x0)
        timesteps = torch.randint(0, len(scheduler.alphas_cumprod), (len(x0),))
        prediction = network(scheduler.add_noise(x0, noise, timesteps), timesteps)
        nn.functional.mse_loss(prediction, noise).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())

    return step


def ours(network: nn.Module, x0: Tensor) -> Case:
    """The same as mmspec trains: process, objective, fused optimizer and average."""
    denoiser = Denoiser(network, DDPM(), tuple(x0.shape[1:]))
    objective, average = Objective(denoiser.process), copy.deepcopy(denoiser)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        objective(denoiser, x0).total.mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_ema(average, denoiser, DECAY, torch.ones(()))

    return step


def walks(x: Tensor) -> dict[str, Case]:
    """DPM-Solver++(2M) with a network that takes no time."""
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler()

    def diffusers() -> Tensor:
        scheduler.set_timesteps(STEPS)
        y = x
        for timestep in scheduler.timesteps:
            y = scheduler.step(x, timestep, y).prev_sample
        return y

    sigmas = DDPM().sampling_sigmas(STEPS)
    return {"diffusers": diffusers, "mmspec": lambda: sample(lambda y, sigma: y, x, sampler="dpmpp_2m", sigmas=sigmas)}


def row(title: str, times: Times, figures: Figures) -> list[str]:
    figures[title] = times.ratios("diffusers", "mmspec")
    milliseconds = [f"{1e3 * times.median(name):.1f} ms" for name in ("diffusers", "mmspec")]
    return [title, *milliseconds, f"{times.ratio('diffusers', 'mmspec'):.2f}x"]


def main(rounds: int = 3) -> Findings:
    figures: Figures = {}
    torch.manual_seed(0)
    x0, made = torch.randn(BATCH, *SHAPE), networks()
    costs = {name: count(network, SHAPE).macs_with_attention for name, network in made.items()}
    passes = {name: training_step(network, x0) for name, network in made.items()}
    shared = made["diffusers"]
    cases = {"diffusers": theirs(shared, x0), "mmspec": ours(copy.deepcopy(shared), x0)}
    rows = [
        row("UNet: forward, backward, optimizer", interleave(passes, rounds=rounds), figures),
        row("training step of diffusers' UNet", interleave(cases, rounds=rounds), figures),
        row(f"{STEPS} steps without a network", interleave(walks(x0), rounds=5 * rounds), figures),
    ]
    arithmetic = [["multiply-accumulates of a picture", *(f"{macs / 1e9:.2f} G" for macs in costs.values()), ""]]
    return Findings([Table([f"{BATCH} pictures of 64x64", *made, "faster"], [*rows, *arithmetic])], figures)
