"""The two walks of CONTRIBUTING.md are those that the code takes."""

import re
import sys
from pathlib import Path

import numpy as np
import torch

import mmspec
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.diffusion import Denoiser, Objective, sample
from mmspec.diffusion.processes import EDM
from mmspec.losses import FourierAmplitudeLoss, Regularizer
from mmspec.networks import UNet
from mmspec.training.options import TrainerOptions
from mmspec.training.trainer import Trainer

PACKAGE = Path(mmspec.__file__).parent
ROWS = re.compile(r"^\| (\d+) \| `([\w/]+\.py)`: `([\w.]+)` \|", re.MULTILINE)


def walks():
    """Rows of both tables: (file, qualified name)."""
    rows = ROWS.findall((PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    second = [number for number, *_ in rows].index("1", 1)
    steps = [(file, name) for _, file, name in rows]
    return steps[:second], steps[second:]


def followed(action, wanted):
    """Those of the wanted functions that an action calls, in the order of their first calls."""
    order = []

    def note(frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            step = (Path(code.co_filename).relative_to(PACKAGE).as_posix(), code.co_qualname)
            if step in wanted and step not in order:
                order.append(step)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return order


def tiny_denoiser(**options):
    torch.manual_seed(0)
    network = UNet(model_channels=32, channel_mult=(1,), num_blocks=1, attention_levels=(), **options)
    return Denoiser(network, EDM(), (3, 8, 8))


def test_a_sample_goes_from_disk_to_loss(tmp_path):
    walk = walks()[0]
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    write_packed(tmp_path / "data", pixels, meta=DatasetMeta(modality="image", source="test"))
    objective = Objective(EDM(), regularizers={"amplitude": Regularizer(FourierAmplitudeLoss(reduction="none"))})
    options = TrainerOptions(max_steps=1, batch_size=2, device="cpu")
    trainer = Trainer(tiny_denoiser(), objective, PackedDataset(tmp_path / "data"), options, tmp_path / "run")
    assert walk[:3] == [  # the batch is gathered by a thread, ahead of the step that wants it
        ("data/stored.py", "StoredDataset.batch"),
        ("training/batches.py", "Batches.step"),
        ("training/trainer.py", "Trainer._step"),
    ]
    assert followed(trainer.train, walk[2:]) == walk[2:]


def test_a_sigma_goes_from_the_sampler_to_the_arithmetic():
    walk, denoiser = walks()[1], tiny_denoiser(num_classes=2)

    def draw():
        sample(denoiser, (2, 3, 8, 8), sampler="heun", steps=2, labels=torch.eye(2), guidance=1.5)

    assert followed(draw, walk) == walk
