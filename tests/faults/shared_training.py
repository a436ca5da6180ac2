"""Trainings that 1, 2 and 4 processes share: ``python -m tests.faults.shared_training FOLDER`` is one of them.

All that might depend on how a batch is shared out is in them: every regularizer, balanced and not, distillation,
dropout, labels that are hidden, micro-batches, shards of weights, blocks that are computed twice.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from accelerate.state import AcceleratorState

from mmspec.diffusion import Denoiser, DistillationObjective, Objective, StepDistillationObjective
from mmspec.diffusion.processes import EDM
from mmspec.losses import Regularizer
from mmspec.losses.weighting import EDMWeight, InverseSigmaGate
from mmspec.networks import UNet
from mmspec.training.options import TrainerOptions
from mmspec.training.trainer import Trainer
from tests.losses.test_contract import REGULARIZERS

CASES: dict[str, dict] = {
    "every regularizer": {"terms": REGULARIZERS},
    "every regularizer, micro-batches": {"terms": REGULARIZERS, "accumulation": 2},
    "distillation": {"teach": DistillationObjective},
    "distillation in steps, micro-batches": {"teach": partial(StepDistillationObjective, steps=4), "accumulation": 2},
    "blocks computed twice": {"activation_checkpointing": True},
    "FSDP2, every regularizer, micro-batches": {"fsdp": True, "terms": REGULARIZERS, "accumulation": 2},
    "FSDP2, distillation, blocks computed twice": {
        "fsdp": True,
        "teach": DistillationObjective,
        "activation_checkpointing": True,
    },
}
BATCH, STEPS = 8, 3


class Sounds:
    """Noise of two classes, ``[1, 64]``."""

    x0 = torch.randn(24, 1, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)

    def __len__(self):
        return len(self.x0)

    def batch(self, indices):
        return self.x0[indices], torch.as_tensor(indices) % 2


def denoiser(seed: int) -> Denoiser:
    torch.manual_seed(seed)
    network = UNet(1, 1, None, 8, (1, 2), 1, (1,), head_channels=8, num_classes=2, dropout=0.3)
    for parameter in network.parameters():  # or those that begin with 0 would hide what comes before them
        torch.nn.init.normal_(parameter, std=0.1)
    return Denoiser(network, EDM(0.5), (1, 64))


def make_trainer(folder: Path, terms=None, teach=None, preview=None, **options) -> Trainer:
    AcceleratorState._reset_state(reset_partial_state=True)
    student = denoiser(0)
    weights = (EDMWeight(0.5), InverseSigmaGate())
    built = {
        name.replace(".", "_"): Regularizer(
            build(reduction="none"), 0.1, weights[i % 2], 2, balance=(None, "gradient")[i % 3 > 0]
        )
        for i, (name, build) in enumerate((terms or {"haar": REGULARIZERS["haar"]}).items())
    }
    objective = Objective(EDM(0.5), regularizers=built, label_dropout=0.3)
    if teach is not None:
        objective = teach(objective, denoiser(1), student)
    every = {"batch_size": BATCH, "max_steps": STEPS, "log_every": 1, "learning_rate": 1e-3, "device": "cpu"}
    return Trainer(student, objective, Sounds(), TrainerOptions(**{**every, **options}), folder, preview=preview)


def main(folder: Path) -> None:
    for name, options in CASES.items():
        make_trainer(folder / name, **options).train()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
