"""What the correction of x0_hat adds to a call of the denoiser, which is a step of most samplers."""

import torch
from torch import Tensor

from benchmarks.record import Findings, Table
from benchmarks.timing import interleave
from mmspec.diffusion import Denoiser
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.processes import EDM
from mmspec.networks import DiffWave, UNet
from mmspec.networks.network import Network

CORRECTION = Correction((0.01, 1.0, 80.0), ((1.0, 0.9, 0.8, 1.1), (0.9, 0.8, 1.1, 1.0), (0.8, 1.1, 1.0, 0.9)))


def row(title: str, network: Network, shape: tuple[int, ...], rounds: int, **cond: Tensor) -> list[str]:
    x = torch.randn(shape, dtype=torch.float64)
    denoiser = Denoiser(network, EDM()).eval()
    x0_hat = denoiser(x, 0.7, **cond)
    cases = {"call": lambda: denoiser(x, 0.7, **cond), "correction": lambda: CORRECTION(x0_hat, 0.7)}
    times = interleave(cases, rounds=rounds)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [
        f"{title}, {parameters / 1e6:.1f}M",
        f"{1e3 * times.median('call'):.0f} ms",
        f"{1e3 * times.median('correction'):.2f} ms",
        f"{times.ratio('correction', 'call'):.2%}",
    ]


@torch.inference_mode()
def main(rounds: int = 5) -> Findings:
    wide = {"model_channels": 96, "channel_mult": (1, 2, 2)}
    rows = [
        row("4 pictures of 64x64, UNet", UNet(**wide), (4, 3, 64, 64), rounds),
        row("4 recordings of 8192, UNet", UNet(1, 1, patch_size=8, **wide), (4, 1, 8192), rounds),
        row("2 of 62 frames, DiffWave", DiffWave(), (2, 1, 62 * 256), rounds, spectrogram=torch.rand(2, 80, 62)),
    ]
    return Findings([Table(["denoiser", "call", "correction", "of the call"], rows)])
