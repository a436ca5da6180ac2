"""Micro-batches take the step, and log the values, of the whole batch: balanced terms, teachers and all."""

import json

import pytest
import torch
from accelerate.state import AcceleratorState

from mmspec.diffusion import Denoiser, DistillationObjective, Objective, StepDistillationObjective
from mmspec.diffusion.processes import EDM
from mmspec.losses import FourierAmplitudeLoss, Regularizer, WaveletLoss
from mmspec.losses.weighting import EDMWeight, InverseSigmaGate
from mmspec.networks import UNet
from mmspec.training.complete import newest_whole
from mmspec.training.options import TrainerOptions
from mmspec.training.trainer import Trainer
from tests.programs import two_processes
from tests.training.test_trainer import Waves, same, weights


def denoiser(seed, dropout=0.0):
    torch.manual_seed(seed)
    small = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (), "head_channels": 8}
    return Denoiser(UNet(dims=1, in_channels=1, num_classes=2, dropout=dropout, **small), EDM(0.5), (1, 16))


def make_trainer(folder, kind="plain", dropout=0.0, **options):
    """Two balanced terms, one in a ramp, and one of a fixed weight."""
    AcceleratorState._reset_state(reset_partial_state=True)
    student = denoiser(0, dropout)
    terms = {
        "amplitude": Regularizer(FourierAmplitudeLoss(reduction="none"), 0.3, EDMWeight(0.5), 4, balance="gradient"),
        "haar": Regularizer(WaveletLoss(reduction="none"), 0.2, InverseSigmaGate(), balance="gradient"),
        "fixed": Regularizer(FourierAmplitudeLoss(reduction="none"), 0.05, InverseSigmaGate()),
    }
    objective = Objective(EDM(0.5), regularizers=terms, label_dropout=0.2)
    if kind == "distillation":
        objective = DistillationObjective(objective, denoiser(1), student)
    if kind == "steps":
        objective = StepDistillationObjective(objective, denoiser(1), student, steps=4)
    defaults = {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-3, "log_every": 1, "device": "cpu"}
    return Trainer(student, objective, Waves(), TrainerOptions(**{**defaults, **options}), folder)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["plain", "distillation", "steps"])
def test_weights_and_logs_are_those_of_the_whole_batch(tmp_path, kind):
    one, *others = (make_trainer(tmp_path / str(n), kind, accumulation=n) for n in (1, 2, 8))
    one.train()
    for other in others:
        other.train()
        for a, b in zip(weights(one).values(), weights(other).values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # a hundredth of a step
        for expected, found in zip(lines(one.folder), lines(other.folder), strict=True):
            for name in (name for name in expected if not name.startswith("perf/")):
                assert found[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-7), name
    shares = [line["train/grad_share/amplitude"] for line in lines(others[0].folder)]
    assert shares == pytest.approx([0, 0.075, 0.15, 0.225, 0.3, 0.3], rel=1e-4)


def test_the_same_dropout_is_balanced_and_trained(tmp_path, monkeypatch):
    """What balancing sees of each micro-batch is what is trained on: predictions are equal bit by bit."""
    trainer = make_trainer(tmp_path, dropout=0.5, accumulation=4, max_steps=2)
    seen = []
    compare = trainer.objective.compare
    monkeypatch.setattr(trainer.objective, "compare", lambda x, *a: seen.append(x.detach()) or compare(x, *a))
    trainer.train()
    for step in (seen[:8], seen[8:]):
        assert all(torch.equal(a, b) for a, b in zip(step[:4], step[4:], strict=True))
    assert len(seen) == 16 and not torch.equal(seen[0], seen[8])


@pytest.mark.parametrize(("accumulation", "balanced", "passes"), [(1, True, 1), (4, False, 4), (4, True, 8)])
def test_passes_of_the_network(tmp_path, accumulation, balanced, passes):
    """A second one for what must be known of the whole batch alone, and never with a graph."""
    trainer = make_trainer(tmp_path, accumulation=accumulation, max_steps=1)
    for term in trainer.objective.regularizers.values():
        term.balance = "gradient" if balanced else None
    with_graph = []
    trainer.denoiser.network.register_forward_hook(lambda *a: with_graph.append(torch.is_grad_enabled()))
    trainer.train()
    assert len(with_graph) == passes and sum(with_graph) == accumulation


def test_a_teacher_is_not_asked_twice(tmp_path):
    trainer = make_trainer(tmp_path, "distillation", accumulation=4, max_steps=1)
    asked = []
    trainer.objective.teacher.register_forward_hook(lambda *a: asked.append(1))
    trainer.train()
    assert len(asked) == 4


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    options = {"dropout": 0.1, "accumulation": 2}
    whole = make_trainer(tmp_path / "whole", **options)
    whole.train()
    make_trainer(tmp_path / "parts", max_steps=3, **options).train()
    resumed = make_trainer(tmp_path / "parts", **options)
    resumed.train(newest_whole(tmp_path / "parts/checkpoints")[0])
    assert same(weights(whole), weights(resumed)) and same(whole.ema.state_dict(), resumed.ema.state_dict())


TWO = """
import sys
from pathlib import Path
import torch
from tests.training.test_accumulation import make_trainer, weights
trainer = make_trainer(Path(sys.argv[1]), dropout=0.3, max_steps=3, accumulation=2)
trainer.train()
torch.save(weights(trainer), Path(sys.argv[1]) / f"rank{trainer.accelerator.process_index}.pt")
"""


def test_two_processes_take_and_log_the_steps_of_one(tmp_path):
    two_processes(TWO, tmp_path)
    one = make_trainer(tmp_path / "one", dropout=0.3, max_steps=3)
    one.train()
    two = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert same(*two)
    for name, tensor in weights(one).items():
        torch.testing.assert_close(two[0][name], tensor, rtol=1e-4, atol=1e-6)
    for expected, found in zip(lines(one.folder), lines(tmp_path), strict=True):
        for name in (name for name in expected if not name.startswith("perf/")):
            assert found[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-7), name
