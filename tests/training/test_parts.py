"""Sample order, EMA, meters, checkpoints and run folders, each by itself."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.provenance import provenance
from mmspec.training.batches import Batches, SampleOrder
from mmspec.training.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    take_snapshot,
)
from mmspec.training.complete import newest_whole, prune_checkpoints
from mmspec.training.ema import ema_decay, update_ema
from mmspec.training.integrity import MARKER
from mmspec.training.log import RunLog
from mmspec.training.meters import Meters
from mmspec.training.run import Run, find_denoiser


def parts():
    torch.manual_seed(0)
    network = UNet(dims=1, in_channels=1, model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=())
    denoiser = Denoiser(network, EDM(), (1, 8), sample_rate=8000)
    optimizer = torch.optim.AdamW(denoiser.parameters(), fused=True)
    denoiser(torch.randn(2, 1, 8), 1.0).sum().backward()
    optimizer.step()
    return denoiser, optimizer


def save(folder, step):
    denoiser, optimizer = parts()
    return save_checkpoint(folder, take_snapshot(step, denoiser, denoiser, optimizer, {"nimg": 8 * step}))


def test_every_epoch_sees_every_sample_once_in_an_order_of_its_own():
    order = SampleOrder(count=7, batch_size=3, seed=1)
    seen = np.concatenate([order.indices(step) for step in range(7)])
    epochs = seen.reshape(3, 7)
    for epoch in epochs:
        assert sorted(epoch) == list(range(7))
    assert not np.array_equal(epochs[0], epochs[1])
    np.testing.assert_array_equal(SampleOrder(7, 3, 1).indices(4), order.indices(4))
    assert len(SampleOrder(2, 9, 0).indices(3)) == 9  # a batch of several epochs


def test_batches_come_in_the_asked_order_whatever_was_gathered_ahead():
    class Numbers:
        def __len__(self):
            return 10

        def batch(self, indices):
            return torch.as_tensor(indices), None

    order = SampleOrder(10, 4, 0)
    batches = Batches(Numbers(), order, [slice(0, 2), slice(2, 4)])
    for step in (0, 1, 5, 2):
        gathered = torch.cat([batch.clips for batch in batches.step(step)])
        np.testing.assert_array_equal(gathered.numpy(), order.indices(step))
    batches.close()


def test_ema_follows_its_half_life_and_its_ramp_up():
    assert ema_decay(10**9, 64, 64 * 10, 0.05) ** 10 == pytest.approx(0.5)
    assert ema_decay(1000, 50, 10**9, 0.05) == pytest.approx(0.5)
    average, model = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    expected = 0.9 * average.weight + 0.1 * model.weight
    update_ema(average, model, 0.9, torch.tensor(1.0))
    torch.testing.assert_close(average.weight, expected)
    update_ema(average, model, 0.9, torch.tensor(0.0))
    torch.testing.assert_close(average.weight, expected)


def test_meters_average_and_sort_by_sigma():
    meters = Meters(torch.device("cpu"))
    meters.add("a", torch.tensor([1.0, 2.0]))
    meters.add("a", torch.tensor(6.0))
    meters.add_by_sigma(torch.tensor([0.2, 0.25, 1e-9, 5e4]), torch.tensor([1.0, 3.0, 7.0, 9.0]))
    means, by_sigma = meters.read()
    assert means == {"a": 3.0}
    assert by_sigma == {"0.001-0.0032": 7.0, "0.1-0.32": 2.0, "320-1000": 9.0}
    meters.add("a", torch.tensor(4.0))
    assert meters.read() == ({"a": 4.0}, {})


def test_a_checkpoint_restores_weights_and_optimizer_exactly(tmp_path):
    denoiser, optimizer = parts()
    path = save_checkpoint(tmp_path, take_snapshot(3, denoiser, denoiser, optimizer, {"nimg": 24}))
    other, other_optimizer = parts()
    torch.nn.init.zeros_(other.network.conv_in.weight)
    assert load_checkpoint(path, other, other, other_optimizer) == {"step": 3, "nimg": 24}
    for a, b in zip(denoiser.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        states = optimizer.state[a], other_optimizer.state[b]
        assert all(torch.equal(states[0][key], states[1][key]) for key in ("step", "exp_avg", "exp_avg_sq"))
    assert (tmp_path / "latest").read_text() == "step_00000003\n"


def test_a_checkpoint_without_its_marker_is_never_found_or_read(tmp_path):
    save(tmp_path, 1)
    broken = save(tmp_path, 2)
    (broken / MARKER).unlink()
    assert newest_whole(tmp_path)[0].name == "step_00000001"
    denoiser, optimizer = parts()
    with pytest.raises(InputError, match="not a complete checkpoint"):
        load_checkpoint(broken, denoiser, denoiser, optimizer)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = save(tmp_path, 1)
    network = UNet(dims=1, in_channels=1, model_channels=16, channel_mult=(1,), num_blocks=1, attention_levels=())
    other = Denoiser(network, EDM())
    with pytest.raises(InputError, match="does not fit this network"):
        load_checkpoint(path, other, other, torch.optim.AdamW(other.parameters(), fused=True))


def test_old_checkpoints_go_except_those_to_keep(tmp_path):
    for step in range(1, 8):
        save(tmp_path, step)
    prune_checkpoints(tmp_path, keep_last=2, keep_every=3)
    assert sorted(path.name[-1] for path in tmp_path.glob("step_*")) == ["3", "6", "7"]


def test_a_failed_write_leaves_the_older_checkpoint_and_no_half_one(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(self, folder, weights):
        raise OSError("No space left on device")

    monkeypatch.setattr(Denoiser, "save_pretrained", full)
    with pytest.raises(OSError, match="could not be written"):
        save(tmp_path, 2)
    assert newest_whole(tmp_path)[0].name == "step_00000001"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step_00000001"]


def test_a_run_goes_on_with_the_same_config_and_refuses_another(tmp_path):
    run, free = tmp_path / "run", ["trainer.max_steps"]
    config = {"seed": 0, "trainer": {"max_steps": 5, "learning_rate": 0.1}}
    assert Run(run).open(config, free) is None
    save(run / "checkpoints", 2)
    longer = {"seed": 0, "trainer": {"max_steps": 9, "learning_rate": 0.1}}
    assert Run(run).open(longer, free).name == "step_00000002"
    assert find_denoiser(run) == run / "checkpoints/step_00000002/ema"
    with pytest.raises(InputError, match=r"seed was 0, is 1; trainer.learning_rate was 0.1, is 0.2"):
        Run(run).open({"seed": 1, "trainer": {"max_steps": 5, "learning_rate": 0.2}}, free)
    assert Run(run).open({"seed": 1}, free, resume="none") is None
    assert Run(tmp_path / "run.old-1").config["seed"] == 0
    assert Run(run).config["seed"] == 1
    assert "torch" in Run(run).config["provenance"]["versions"]
    with pytest.raises(InputError, match="no complete checkpoint yet"):
        find_denoiser(run)
    with pytest.raises(InputError, match="not the folder of a run"):
        _ = Run(tmp_path).config


def test_a_machine_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance()["git_commit"] is None


def test_a_line_is_said_now_and_then_where_there_is_no_terminal(tmp_path, capsys, monkeypatch):
    with RunLog(tmp_path / "cats", Accelerator(cpu=True), total=2000, step=0) as log:
        log.advance(1233)
        monkeypatch.setattr("mmspec.training.log.SECONDS_A_LINE", 0.0)
        log.advance(1234)
    assert capsys.readouterr().err == "cats: 1,234 of 2,000 steps\n"
