import json
import os
import signal
import subprocess

import pytest
import torch
from accelerate.state import AcceleratorState

from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.interruption import SIGNALS
from mmspec.losses.regularizer import Regularizer
from mmspec.metrics.cost import count
from mmspec.networks import UNet
from mmspec.training.complete import newest_whole
from mmspec.training.options import TrainerOptions
from mmspec.training.trainer import Trainer
from tests.programs import python, two_processes


class Waves:
    """Sines of random phase with a class each: the first half of frequency 2, the others of 3."""

    def __init__(self, count: int = 24, poison: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        phase = torch.rand(count, 1, 1, generator=generator) * 6.28
        self.labels = torch.arange(count) * 2 // count
        t = torch.arange(16) / 16 * 6.28
        self.x0 = 0.7 * torch.sin((2 + self.labels[:, None, None]) * t + phase)
        if poison is not None:
            self.x0[poison] = float("nan")

    def __len__(self):
        return len(self.x0)

    def batch(self, indices):
        return self.x0[indices], self.labels[indices]


class Absolute(torch.nn.Module):
    def forward(self, input, target):
        return (input - target).abs().flatten(1).mean(1)


def make_trainer(folder, dataset=None, num_classes=2, **options):
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.manual_seed(0)
    network = UNet(
        dims=1, in_channels=1, model_channels=8, channel_mult=(1, 2), num_blocks=1, attention_levels=(),
        head_channels=8, num_classes=num_classes, dropout=options.pop("dropout", 0.1),
    )  # fmt: skip
    denoiser = Denoiser(network, EDM(0.5), (1, 16))
    term = Regularizer(Absolute(), 0.1, balance="gradient")
    objective = Objective(EDM(0.5), regularizers={"mae": term}, label_dropout=0.2)
    defaults = {"max_steps": 12, "batch_size": 8, "learning_rate": 1e-3, "log_every": 4, "checkpoint_every": 5}
    return Trainer(
        denoiser,
        objective,
        dataset or Waves(),
        TrainerOptions(**{**defaults, "device": "cpu", **options}),
        folder,
    )


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.denoiser.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_at_work_is_said(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=1)
    cost = count(trainer.denoiser.network, (1, 16))
    trainer.train()
    said = (tmp_path / "log.txt").read_text().splitlines()[0]
    assert f"training UNet of {cost.parameters:,} parameters and {cost.macs / 1000:.1f}k MACs on cpu (" in said
    assert f"with 24 signals of 1x16, from step 0 to 1, 8 at a time, into {tmp_path}" in said


def test_a_network_whose_cost_cannot_be_told_is_trained(tmp_path, monkeypatch):
    forward = UNet.forward  # this one looks at values, which nobody knows before there are some
    monkeypatch.setattr(UNet, "forward", lambda self, x, *told, **more: forward(self, x * bool(x.any()), *told, **more))
    make_trainer(tmp_path, max_steps=1).train()
    assert "parameters on cpu" in (tmp_path / "log.txt").read_text().splitlines()[0]


def test_training_learns_and_logs_what_it_did(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=150, log_every=50, checkpoint_every=150, dropout=0.0, learning_rate=3e-3)
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 100, 150]
    assert [line["nimg"] for line in lines] == [400, 800, 1200]
    assert lines[-1]["train/loss"] < 0.7 * lines[0]["train/loss"]
    assert lines[-1]["train/grad_share/mae"] == pytest.approx(0.1, rel=1e-3)
    parts = lines[-1]["train/loss/denoising"] + lines[-1]["train/loss/mae_weighted"]
    assert lines[-1]["train/loss"] == pytest.approx(parts, rel=1e-5)
    assert any(key.startswith("train/loss_by_sigma/0.1-0.32") for key in lines[-1])
    # A clean sine is found in noise: better than the best that knows the variance alone.
    x0, labels = Waves().batch(torch.arange(24))
    noisy = x0 + 0.5 * torch.randn(x0.shape, generator=torch.Generator().manual_seed(9))
    one_hot = torch.nn.functional.one_hot(labels, 2).float()
    error = (trainer.ema(noisy, 0.5, labels=one_hot) - x0).square().mean().item()
    assert error < 0.6 * (noisy * 0.5 - x0).square().mean().item()


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = make_trainer(tmp_path / "whole")
    whole.train()
    make_trainer(tmp_path / "parts", max_steps=7).train()
    resumed = make_trainer(tmp_path / "parts")
    resumed.train(newest_whole(tmp_path / "parts/checkpoints")[0])
    assert same(weights(whole), weights(resumed))
    assert same(whole.ema.state_dict(), resumed.ema.state_dict())
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert steps == [4, 7, 8, 12]


@pytest.mark.parametrize("balance", [None, "gradient"])
def test_accumulated_micro_batches_take_the_step_of_the_whole_batch(tmp_path, balance):
    trainers = [make_trainer(tmp_path / str(n), accumulation=n, max_steps=1, dropout=0.0) for n in (1, 4)]
    for trainer in trainers:
        trainer.objective.regularizers["mae"].balance = balance
        trainer.train()
    for a, b in zip(trainers[0].denoiser.parameters(), trainers[1].denoiser.parameters(), strict=True):
        torch.testing.assert_close(a.grad if a.grad is not None else a, b.grad if b.grad is not None else b)
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_a_step_with_a_non_finite_loss_changes_nothing_and_many_end_the_run(tmp_path):
    trainer = make_trainer(tmp_path, dataset=Waves(8, poison=3), max_nonfinite=3)
    before, ema = weights(trainer), {k: v.clone() for k, v in trainer.ema.state_dict().items()}
    with pytest.raises(InputError, match=r"3 steps in a row, up to step 2 with sigma \[.*on samples \["):
        trainer.train()
    assert same(before, weights(trainer))
    assert same(ema, trainer.ema.state_dict())
    assert newest_whole(tmp_path / "checkpoints")[0] is None
    assert "ended by InputError" in (tmp_path / "log.txt").read_text()


def test_one_bad_step_is_passed_over(tmp_path):
    trainer = make_trainer(tmp_path, dataset=Waves(24, poison=3), max_steps=6)
    trainer.train()
    assert all(torch.isfinite(tensor).all() for tensor in trainer.denoiser.state_dict().values())
    assert newest_whole(tmp_path / "checkpoints")[0].name == "step_00000006"


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"batch_size=8 does not divide over 1 processes with .*accumulation=3"):
        make_trainer(tmp_path, accumulation=3).train()


def test_a_full_disk_does_not_end_training_until_the_end(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("step_X could not be written (No space left on device)")

    monkeypatch.setattr("mmspec.training.writer.save_checkpoint", full)
    with pytest.raises(InputError, match=r"No space left on device.*make room and run the same command again"):
        make_trainer(tmp_path).train()
    log = (tmp_path / "log.txt").read_text()
    assert "training goes on" in log and "step 12" in log


CHILD = """
import sys
from pathlib import Path
from mmspec.interruption import Interrupted
from tests.training.test_trainer import make_trainer, newest_whole
folder = Path(sys.argv[1])
trainer = make_trainer(folder, max_steps=int(sys.argv[2]), checkpoint_every=2, log_every=1)
try:
    trainer.train(newest_whole(folder / "checkpoints")[0])
except Interrupted as stopped:
    print(stopped, file=sys.stderr)
    sys.exit(75)
"""


def wait_for_lines(process: subprocess.Popen, count: int) -> None:
    while count and (line := process.stderr.readline()):
        count -= "step" in line


def test_killed_at_any_moment_and_started_again_it_ends_with_the_same_weights(tmp_path):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    for lines in (3, 6):
        process = python("-c", CHILD, tmp_path / "killed", 16)
        wait_for_lines(process, lines)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for name in ("killed", "whole"):
        process = python("-c", CHILD, tmp_path / name, 16)
        assert process.communicate()[1] is not None and process.returncode == 0
    for file in ("model.safetensors", "ema/model.safetensors", "optimizer.safetensors"):
        ends = [(tmp_path / name / "checkpoints/step_00000016" / file).read_bytes() for name in ("killed", "whole")]
        assert ends[0] == ends[1]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_stop_saves_and_exits_with_75(tmp_path, number):
    process = python(
        "-c", f"import os; print('step', os.getpid(), file=__import__('sys').stderr)\n{CHILD}", tmp_path, 100000
    )
    pid = int(process.stderr.readline().split()[1])
    wait_for_lines(process, 3)
    os.kill(pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    step = int(newest_whole(tmp_path / "checkpoints")[0].name.removeprefix("step_"))
    assert f"interrupted at step {step}, saved" in err


TWO = """
import sys
from pathlib import Path
import torch
from tests.training.test_trainer import make_trainer
trainer = make_trainer(Path(sys.argv[1]), max_steps=3, dropout=0.0)
trainer.train()
torch.save(trainer.denoiser.state_dict(), Path(sys.argv[1]) / f"rank{trainer.accelerator.process_index}.pt")
"""


def test_two_processes_take_the_steps_of_one(tmp_path):
    two_processes(TWO, tmp_path)
    one = make_trainer(tmp_path / "one", max_steps=3, dropout=0.0)
    one.train()
    two = torch.load(tmp_path / "rank0.pt", weights_only=True)
    for name, tensor in one.denoiser.state_dict().items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6)


def test_the_learning_rate_warms_up_and_falls(tmp_path):
    options = {"max_steps": 5, "log_every": 1, "learning_rate": 1e-3, "learning_rate_end": 5e-4, "warmup_steps": 2}
    make_trainer(tmp_path, **options).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/learning_rate"] for line in lines] == pytest.approx([5e-4, 9e-4, 8e-4, 7e-4, 6e-4])
