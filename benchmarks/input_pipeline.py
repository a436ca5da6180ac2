"""How fast training data is read: one gather a batch from the packed format, against a decoder call a file."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import nn

from benchmarks.record import Findings, Table
from benchmarks.timing import interleave
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.networks import UNet

COUNT, BATCH, STEP_BATCH = 1024, 64, 8


def pictures(folder: Path, size: int = 32) -> tuple[list[Path], PackedDataset]:
    """The same pictures as JPEG files and packed."""
    coarse = np.random.default_rng(0).integers(0, 256, (COUNT, 5, 5, 3), dtype=np.uint8)
    images = [Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC) for grid in coarse]
    files = [folder / f"{index}.jpg" for index in range(COUNT)]
    for image, file in zip(images, files, strict=True):
        image.save(file, quality=95)
    write_packed(folder / "packed", np.stack(images), meta=DatasetMeta(modality="image", source="noise"))
    return files, PackedDataset(folder / "packed")


def recordings(folder: Path, samples: int = 8192) -> tuple[list[Path], PackedDataset]:
    """The same recordings as WAV files and packed."""
    sound = np.random.default_rng(0).integers(-9999, 9999, (COUNT, samples), dtype=np.int16)
    files = [folder / f"{index}.wav" for index in range(COUNT)]
    for clip, file in zip(sound, files, strict=True):
        soundfile.write(file, clip, 8000)
    meta = DatasetMeta(modality="audio", source="noise", sample_rate=8000)
    write_packed(folder / "packed", sound, meta=meta)
    return files, PackedDataset(folder / "packed")


def read_picture(file: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 127.5 - 1


def read_recording(file: Path) -> torch.Tensor:
    return torch.from_numpy(soundfile.read(file, dtype="float32")[0])


def training_step(network: nn.Module, x0: torch.Tensor, **cond: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    c_noise = torch.zeros(len(x0))

    def step() -> None:
        optimizer.zero_grad()
        (network(x0, c_noise, **cond) - x0).square().mean().backward()
        optimizer.step()

    return step


def row(title: str, files: list[Path], dataset: PackedDataset, read: Callable, network: UNet, rounds: int) -> list[str]:
    batches = np.random.default_rng(0).permutation(COUNT).reshape(-1, BATCH)
    cases: dict[str, Callable[[], object]] = {
        "packed": lambda: [dataset.batch(batch) for batch in batches],
        "one by one": lambda: [torch.cat([dataset.batch([i])[0] for i in batch]) for batch in batches],
        "files": lambda: [torch.stack([read(files[i]) for i in batch]) for batch in batches],
        "step": training_step(network, dataset.batch(np.arange(STEP_BATCH))[0]),
    }
    times = interleave(cases, rounds=rounds)
    appetite = STEP_BATCH / times.median("step")
    return [
        title,
        *(f"{COUNT / times.median(name):,.0f}/s" for name in ("packed", "one by one", "files")),
        f"{times.ratio('files', 'packed'):.0f}x",
        f"{appetite:,.0f}/s",
        f"{COUNT / times.median('packed') / appetite:,.0f}x",
    ]


def main(rounds: int = 5) -> Findings:
    header = ["samples", "packed", "one by one", "files", "packed is faster", "a step's appetite", "packed gives"]
    wide = {"model_channels": 96, "channel_mult": (1, 2, 2)}  # 14.5M parameters in 2D
    with tempfile.TemporaryDirectory() as images, tempfile.TemporaryDirectory() as sound:
        rows = [
            row("32x32 pictures", *pictures(Path(images)), read_picture, UNet(**wide), rounds),
            row("1 s recordings", *recordings(Path(sound)), read_recording, UNet(1, 1, patch_size=8, **wide), rounds),
        ]
    return Findings([Table(header, rows)])
