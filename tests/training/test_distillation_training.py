"""Training with a teacher: resumed bit for bit, in two processes as in one, and nothing of it in what is saved."""

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from mmspec.diffusion import Denoiser, DistillationObjective, Objective
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.training.complete import newest_whole
from mmspec.training.options import TrainerOptions
from mmspec.training.trainer import Trainer
from tests.programs import two_processes
from tests.training.test_trainer import Waves, same, weights

SMALL = {"channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (), "head_channels": 8}


def denoiser(model_channels, seed, dropout=0.0):
    torch.manual_seed(seed)
    network = UNet(dims=1, in_channels=1, model_channels=model_channels, num_classes=2, dropout=dropout, **SMALL)
    return Denoiser(network, EDM(0.5), (1, 16))


def make_trainer(folder, dropout=0.1, distil=True, **options):
    AcceleratorState._reset_state(reset_partial_state=True)
    teacher = denoiser(16, seed=1)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    student = denoiser(8, seed=0, dropout=dropout)
    objective = Objective(EDM(0.5), label_dropout=0.2)
    if distil:
        objective = DistillationObjective(objective, teacher, student)
    defaults = {"max_steps": 12, "batch_size": 8, "learning_rate": 1e-3, "log_every": 4, "checkpoint_every": 5}
    options = TrainerOptions(**{**defaults, "device": "cpu", **options})
    return Trainer(student, objective, Waves(), options, folder)


def alignment(trainer):
    return {name: p.detach().clone() for name, p in trainer.objective.named_parameters() if p.requires_grad}


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = make_trainer(tmp_path / "whole")
    begun = alignment(whole)
    whole.train()
    make_trainer(tmp_path / "parts", max_steps=7).train()
    resumed = make_trainer(tmp_path / "parts")
    resumed.train(newest_whole(tmp_path / "parts/checkpoints")[0])
    assert same(weights(whole), weights(resumed)) and same(alignment(whole), alignment(resumed))
    assert not any(torch.equal(begun[name], value) for name, value in alignment(whole).items())
    for file in ("model.safetensors", "ema/model.safetensors", "optimizer.safetensors", "objective.safetensors"):
        ends = [(tmp_path / name / "checkpoints/step_00000012" / file).read_bytes() for name in ("whole", "parts")]
        assert ends[0] == ends[1]


def test_what_is_saved_of_the_student_is_the_student_alone(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=2)
    trainer.train()
    checkpoint = newest_whole(tmp_path / "checkpoints")[0]
    assert load_file(checkpoint / "objective.safetensors").keys() == alignment(trainer).keys()
    assert all(name.startswith("loss.align") for name in alignment(trainer))
    plain = denoiser(8, seed=0)
    for file in ("model.safetensors", "ema/model.safetensors"):
        assert load_file(checkpoint / file).keys() == plain.network.state_dict().keys()
    Denoiser.from_pretrained(checkpoint / "ema")(torch.zeros(1, 1, 16), 1.0)


def test_a_checkpoint_without_a_teacher_is_not_gone_on_with_by_one(tmp_path):
    make_trainer(tmp_path, max_steps=2, distil=False).train()
    checkpoint = newest_whole(tmp_path / "checkpoints")[0]
    assert not (checkpoint / "objective.safetensors").exists()
    with pytest.raises(InputError, match="does not fit this network"):
        make_trainer(tmp_path).train(checkpoint)


def test_a_run_that_is_not_distilled_begins_with_the_same_weights(tmp_path):
    assert same(weights(make_trainer(tmp_path)), weights(make_trainer(tmp_path, distil=False)))


def test_accumulated_micro_batches_take_the_step_of_the_whole_batch(tmp_path):
    trainers = [make_trainer(tmp_path / str(n), accumulation=n, max_steps=1, dropout=0.0) for n in (1, 4)]
    for trainer in trainers:
        trainer.train()
    for found in (weights, alignment):
        for a, b in zip(*(found(trainer).values() for trainer in trainers), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


TWO = """
import sys
from pathlib import Path
import torch
from tests.training.test_distillation_training import alignment, make_trainer, weights
trainer = make_trainer(Path(sys.argv[1]), max_steps=3, dropout=0.0, accumulation=2)
trainer.train()
rank = trainer.accelerator.process_index
torch.save({**weights(trainer), **alignment(trainer)}, Path(sys.argv[1]) / f"rank{rank}.pt")
"""


def test_two_processes_take_the_steps_of_one(tmp_path):
    two_processes(TWO, tmp_path)
    one = make_trainer(tmp_path / "one", max_steps=3, dropout=0.0)
    one.train()
    two = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert same(*two)
    for name, tensor in {**weights(one), **alignment(one)}.items():
        torch.testing.assert_close(two[0][name], tensor, rtol=1e-4, atol=1e-6)
