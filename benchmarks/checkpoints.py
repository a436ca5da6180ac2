"""What a checkpoint costs a training of 61.8M parameters (DDPM++), and how long it takes to go on from one.

Seconds of the processor, which other work on the machine leaves alone. Training waits for the copy alone; what is
written beside it takes time of another core. A resumed training is a process from its start to its first step.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.record import Findings, Table
from mmspec.data import DatasetMeta, write_packed
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.networks import EDMUNet
from mmspec.training.checkpoint import load_checkpoint, save_checkpoint, take_snapshot

Made = TypeVar("Made")
STEPS, SECONDS = 1000, 0.2  # between two checkpoints; of a step
NETWORK = {"model_channels": 128, "channel_mult": [1, 2, 2, 2], "num_blocks": 4, "attn_resolutions": [16]}
RESUMED = """
import sys, time
from mmspec.cli import main
from mmspec.training.trainer import Trainer
step = Trainer._step
def timed(self, number, batches):
    began = time.process_time()
    step(self, number, batches)
    if number:
        print(f"stepped {began} {time.process_time()}", flush=True)
Trainer._step = timed
main(sys.argv[1:])
"""


def timed(seconds: list[float], work: Callable[[], Made]) -> Made:
    """What work makes; its seconds on the processor, of all threads, are noted."""
    begun = time.process_time()
    made = work()
    seconds.append(time.process_time() - begun)
    return made


def trained(denoiser: Denoiser) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(denoiser.parameters(), fused=True)
    for parameter in denoiser.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return optimizer


def in_process(folder: Path, rounds: int) -> list[list[str]]:
    """Copying, writing and reading a checkpoint."""
    denoiser = Denoiser(EDMUNet(64, 3, **NETWORK), EDM(0.5), (3, 64, 64))
    average, optimizer = Denoiser(EDMUNet(64, 3, **NETWORK), EDM(0.5), (3, 64, 64)), trained(denoiser)
    count = sum(parameter.numel() for parameter in denoiser.parameters())
    copied, written, read = list[float](), list[float](), list[float]()
    for step in range(rounds):
        snapshot = timed(copied, lambda: take_snapshot(0, denoiser, average, optimizer, {}))
        target = timed(written, partial(save_checkpoint, folder / str(step), snapshot))
        timed(read, partial(load_checkpoint, target, denoiser, average, optimizer))
    copy, write, load = (float(np.median(each)) for each in (copied, written, read))
    share = f"{copy / (STEPS * SECONDS):.2%} of {STEPS:,} steps of {SECONDS} s"
    return [
        [f"copy of {count / 1e6:.1f}M parameters, for which training waits", f"{copy:.2f} s", share],
        ["writing it, beside training", f"{write:.2f} s", f"{(copy + write) / (STEPS * SECONDS):.2%} with the copy"],
        ["reading it", f"{load:.2f} s", ""],
    ]


def resumed(folder: Path) -> list[list[str]]:
    """A process that goes on from a checkpoint."""
    pictures = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3)).astype(np.uint8)
    statistics = {"mean": 0.0, "std": 0.5, "sigma_data": 0.5}
    write_packed(folder / "data", pictures, meta=DatasetMeta(modality="image", source="noise", statistics=statistics))
    options = [f"network.{name}={value}" for name, value in {**NETWORK, "img_resolution": 16}.items()][:-1]
    words = ["train", f"run_dir={folder / 'run'}", f"data.train={folder / 'data'}", "network=edm_ddpmpp", *options]
    words += ["trainer.batch_size=1", "trainer.device=cpu", "trainer.tensorboard=false", "preview.num=1"]
    for steps in (1, 2):
        command = [sys.executable, "-c", RESUMED, *words, f"trainer.max_steps={steps}"]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # or threads that wait for each other would count
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=alone).stdout
    (step,) = [line for line in said.splitlines() if line.startswith("stepped ")]
    began, ended = map(float, step.split()[1:])
    return [["process start to the first step of a resumed run", f"{began:.2f} s", f"{ended - began:.2f} s of step"]]


def main(rounds: int = 3) -> Findings:
    with tempfile.TemporaryDirectory() as folder:
        rows = [*in_process(Path(folder), rounds), *resumed(Path(folder))]
    return Findings([Table(["", "processor time", ""], rows)])
