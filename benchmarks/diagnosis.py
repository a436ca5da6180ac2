"""What it costs to diagnose a denoiser, and to compare two sets of pictures."""

import contextlib
import io
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.record import Findings, Table
from mmspec.cli import main as mmspec
from mmspec.data import DatasetMeta, write_packed
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.networks import UNet

SHAPE = (3, 64, 64)


def unet() -> UNet:
    """Of 14.6 million parameters."""
    torch.manual_seed(0)
    return UNet(model_channels=96, channel_mult=(1, 2, 2))


def pictures(folder: Path, count: int, seed: int) -> Path:
    """Pictures whose spectrum falls as that of photographs does."""
    steps = np.random.default_rng(seed).standard_normal((count, 64, 64, 3)).cumsum(1).cumsum(2)
    steps -= steps.mean((1, 2), keepdims=True)
    pixels = (127.5 + 100 * steps / np.abs(steps).max((1, 2, 3), keepdims=True)).astype(np.uint8)
    write_packed(folder, pixels, meta=DatasetMeta(modality="image", source="sums of noise"))
    return folder


def seconds(*words: str) -> str:
    """Of a command on all cores, by the clock, and of all cores together, which others on the machine lengthen less."""
    torch.set_num_threads(os.cpu_count() or 1)
    start, cores = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        status = mmspec(words)
    assert status == 0
    torch.set_num_threads(1)
    return f"{time.perf_counter() - start:.0f} s ({time.process_time() - cores:.0f} s of CPU)"


def main(count: int = 300, many: int = 1000) -> Findings:
    network = unet()
    size = f"UNet, {sum(parameter.numel() for parameter in network.parameters()) / 1e6:.1f}M, at 64x64"
    with TemporaryDirectory() as scratch, torch.inference_mode():
        home = Path(scratch)
        real = pictures(home / "real", count, 0)
        sets = [pictures(home / str(seed), many, seed) for seed in (1, 2)]
        Denoiser(network, EDM(), SHAPE).save_pretrained(home / "denoiser")
        diagnosed = seconds("diagnose", f"from={home / 'denoiser'}", f"data={real}", f"out={home / 'page.html'}")
        compared = seconds("compare", *map(str, sets))
    rows = [
        [f"diagnose, {size}", diagnosed],
        [f"compare, 2 x {many:,} pictures of 64x64", compared],
    ]
    return Findings([Table(["what", "costs"], rows)])
