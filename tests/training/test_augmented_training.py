import torch
from accelerate.state import AcceleratorState
from torch import nn

from mmspec.data.augment import EDMAugment
from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.processes import EDM
from mmspec.networks import Network
from mmspec.training.batches import step_seed
from mmspec.training.complete import newest_whole
from mmspec.training.options import TrainerOptions
from mmspec.training.trainer import Trainer


class Pictures:
    def __init__(self) -> None:
        self.x0 = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def __len__(self):
        return len(self.x0)

    def batch(self, indices):
        return self.x0[indices], None


class _Told(Network):
    """The least network that takes augmentation labels; it remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(augment_labels=9)
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.map_augment = nn.Linear(9, 3)
        self.told = []

    def forward(self, x, c_noise, augment_labels=None):
        self.told.append(augment_labels)
        return self.convolution(x) + self.map_augment(augment_labels)[:, :, None, None]


def make_trainer(folder, **options):
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.manual_seed(0)
    defaults = {"max_steps": 6, "batch_size": 8, "learning_rate": 1e-2, "log_every": 3, "checkpoint_every": 3}
    trainer = Trainer(
        Denoiser(_Told(), EDM(0.5), (3, 8, 8)),
        Objective(EDM(0.5)),
        Pictures(),
        TrainerOptions(**{**defaults, "device": "cpu", **options}),
        folder,
        augment=EDMAugment(0.5),
    )
    trainer.denoiser.network.told.clear()  # of the call that counted its products
    return trainer


def test_the_network_is_told_of_what_it_sees(tmp_path, monkeypatch):
    seen = []
    apply = EDMAugment.apply
    monkeypatch.setattr(EDMAugment, "apply", lambda self, *a: seen.append((*a, apply(self, *a))) or seen[-1][2])
    trainer = make_trainer(tmp_path, max_steps=2)
    targets = []
    forward = trainer.objective.forward
    monkeypatch.setattr(trainer.objective, "forward", lambda m, x0, **k: targets.append(x0) or forward(m, x0, **k))
    trainer.train()
    for (images, moves, augmented), labels, target in zip(seen, trainer.denoiser.network.told, targets, strict=True):
        torch.testing.assert_close(labels, EDMAugment().labels(moves))
        assert torch.equal(target, augmented) and not torch.equal(augmented, images)
    assert not torch.equal(seen[0][1], seen[1][1])


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = make_trainer(tmp_path / "whole")
    whole.train()
    make_trainer(tmp_path / "parts", max_steps=4).train()
    resumed = make_trainer(tmp_path / "parts")
    resumed.train(newest_whole(tmp_path / "parts/checkpoints")[0])
    for a, b in zip(whole.denoiser.parameters(), resumed.denoiser.parameters(), strict=True):
        assert torch.equal(a, b)


def test_accumulated_micro_batches_take_the_step_of_the_whole_batch(tmp_path):
    one, four = (make_trainer(tmp_path / str(n), accumulation=n, max_steps=1) for n in (1, 4))
    one.train()
    four.train()
    told = torch.cat(four.denoiser.network.told)
    torch.testing.assert_close(told, one.denoiser.network.told[0])
    for a, b in zip(one.denoiser.parameters(), four.denoiser.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_augmenting_leaves_the_noise_of_a_step_as_it_is(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, max_steps=1)
    draws = []
    draw = trainer.objective.draw
    monkeypatch.setattr(trainer.objective, "draw", lambda *a: draws.append(draw(*a)) or draws[-1])
    trainer.train()
    plain = draw((8, 3, 8, 8), torch.Generator().manual_seed(step_seed(0, 0)))
    assert torch.equal(draws[0].sigma, plain.sigma) and torch.equal(draws[0].noise, plain.noise)
