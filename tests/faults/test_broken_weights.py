"""Weights that are not finite never become a checkpoint, and the checkpoint before them stays."""

import json

import pytest
import torch

from mmspec.errors import InputError
from mmspec.training.complete import newest_whole
from mmspec.training.finite import not_finite
from tests.training.test_trainer import make_trainer


def test_what_is_not_finite_is_found_and_large_numbers_are_not_it() -> None:
    large = torch.full((4,), 3e38)  # whose sum is infinite
    assert not_finite({"a": large, "b": torch.ones(2), "c": torch.arange(3)}) is None
    assert not_finite({}) is None
    for value in (float("nan"), float("inf"), -float("inf")):
        assert not_finite({"a": large, "b": torch.tensor([0.0, value])}) == "b"
    assert not_finite({"a": torch.tensor([float("inf"), -float("inf")])}) == "a"


def test_a_last_update_that_breaks_the_weights_is_not_saved(tmp_path):
    rates = {"learning_rate": 1e-3, "learning_rate_end": 1e300}  # from 1e-3 at step 0 on, steeply
    trainer = make_trainer(tmp_path, max_steps=2, checkpoint_every=1, **rates)
    with pytest.raises(InputError, match=r"stopped at step 2: .* of model.safetensors holds NaN or infinity.*lower"):
        trainer.train()
    assert not torch.isfinite(trainer.denoiser.network.conv_in.weight).all()
    last = newest_whole(tmp_path / "checkpoints")[0]
    assert last.name == "step_00000001"
    resumed = make_trainer(tmp_path, max_steps=3)
    resumed.train(last)
    assert torch.isfinite(resumed.denoiser.network.conv_in.weight).all()


@pytest.mark.parametrize("part", ["ema", "optimizer"])
def test_averages_and_moments_are_looked_at_too(tmp_path, part):
    trainer = make_trainer(tmp_path, max_steps=1)
    if part == "ema":
        trainer.ema.network.conv_in.bias.data[0] = float("nan")
    else:
        trainer.optimizer.optimizer.register_step_post_hook(
            lambda optimizer, *_: next(iter(optimizer.state.values()))["exp_avg"].fill_(float("inf"))
        )
    with pytest.raises(InputError, match=part):
        trainer.train()
    assert newest_whole(tmp_path / "checkpoints")[0] is None


def test_training_does_not_begin_from_broken_weights(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.denoiser.network.conv_in.weight.data[0] = float("nan")
    with pytest.raises(InputError, match=r"training starts from hold NaN or infinity in conv_in.weight: give others"):
        trainer.train()
    assert not (tmp_path / "checkpoints").exists()


def test_the_log_of_a_run_that_was_cut_off_is_that_of_one_that_was_not(tmp_path):
    make_trainer(tmp_path / "whole", checkpoint_every=5).train()
    trainer = make_trainer(tmp_path / "parts", checkpoint_every=5)
    real = trainer._step

    def step(number, batches):
        if number == 6:
            raise KeyboardInterrupt
        real(number, batches)

    trainer._step = step
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    make_trainer(tmp_path / "parts", checkpoint_every=5).train(newest_whole(tmp_path / "parts/checkpoints")[0])
    logs = [[json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("whole", "parts")]
    for log in logs:
        for line in log:
            for name in ("perf/samples_per_sec", "perf/max_memory_gb"):
                del line[name]
    assert [line["step"] for line in logs[0]] == [4, 8, 12]
    assert logs[0] == logs[1]
