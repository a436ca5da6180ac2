"""Values that were wrong in silence: shapes of sigma, closed gates, silent clips; and transforms of torch.func."""

import pytest
import torch
from torch import Tensor, nn

from mmspec.diffusion import Denoiser, DistillationObjective, Objective
from mmspec.diffusion.denoiser import expand_sigma
from mmspec.diffusion.processes import EDM
from mmspec.losses import (
    FourierAmplitudeLoss,
    FourierAmplitudePhaseLoss,
    MultiResolutionSTFTLoss,
    Regularizer,
    SigmaWeight,
    WaveletLoss,
)
from mmspec.losses.weighting import InverseSigmaGate, StepGate

SIGMA = torch.tensor([0.1, 0.5, 2.0, 10.0])
LOSSES = {
    "amplitude": FourierAmplitudeLoss,
    "amplitude_phase": FourierAmplitudePhaseLoss,
    "haar": WaveletLoss,
    "stft": lambda reduction: MultiResolutionSTFTLoss((32, 16), reduction=reduction),
}


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


class OuterProduct(SigmaWeight):
    def __call__(self, sigma: Tensor) -> Tensor:
        return sigma[:, None]


@pytest.mark.parametrize("shape", [(4, 1, 1), (4, 1), (1,), (3,), (1, 4)])
def test_a_sigma_of_another_shape_is_refused_wherever_it_weighs_samples(shape: tuple[int, ...]) -> None:
    x, target, sigma = noise(4, 1, 64), noise(4, 1, 64, seed=1), torch.full(shape, 0.5)
    said = rf"sigma must be a number, \[\] or \[4\].*not {str(list(shape))[:-1].replace('[', chr(92) + '[')}\]"
    for gate in (None, InverseSigmaGate(), StepGate(1.0)):
        with pytest.raises(ValueError, match=said):
            Regularizer(FourierAmplitudeLoss(reduction="none"), sigma_weight=gate)(x, target, sigma)
    with pytest.raises(ValueError, match=said):
        expand_sigma(sigma, x)
    with pytest.raises(ValueError, match=said):
        Objective(EDM(0.5)).compare(x, target, sigma)
    with pytest.raises(ValueError, match=said):
        Denoiser(nn.Conv1d(1, 1, 1), EDM(0.5))(x, sigma)


@pytest.mark.parametrize("sigma", [None, "0.5", [0.5] * 4])
def test_what_is_no_sigma_is_refused_by_its_name(sigma: object) -> None:
    with pytest.raises(ValueError, match="sigma must be a number"):
        Regularizer(FourierAmplitudeLoss(reduction="none"))(noise(4, 1, 8), noise(4, 1, 8, seed=1), sigma)


def test_a_weight_of_another_shape_is_refused() -> None:
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), sigma_weight=OuterProduct())
    with pytest.raises(ValueError, match=r"one value for each sigma \[4\], not \[4, 1\]"):
        term(noise(4, 1, 8), noise(4, 1, 8, seed=1), SIGMA)


@pytest.mark.parametrize("sigma", [2.0, 2, torch.tensor(2.0), torch.tensor(2), torch.full((4,), 2.0)], ids=repr)
def test_one_sigma_for_all_is_a_sigma_each(sigma: Tensor | float) -> None:
    x, target = noise(4, 1, 64), noise(4, 1, 64, seed=1)
    loss = FourierAmplitudeLoss(reduction="none")
    values = Regularizer(loss, 0.3, InverseSigmaGate(1.0))(x, target, sigma).weighted
    torch.testing.assert_close(values, 0.3 * 0.5 * loss(x, target))
    terms = Objective(EDM(0.5)).compare(x, target, sigma)
    torch.testing.assert_close(terms.total, (4 + 0.25) / 1 * (x - target).square().flatten(1).mean(1))
    assert terms.sigma.tolist() == [2.0] * 4


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [(64,), (32, 48)], ids=str)
@pytest.mark.parametrize("balance", [None, "gradient"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_closed_gate_hides_what_is_not_finite(name: str, size: tuple[int, ...], balance: str, value: float) -> None:
    x, target = noise(4, 1, *size), noise(4, 1, *size, seed=1)
    x[3] = value
    x.requires_grad_()
    term = Regularizer(LOSSES[name](reduction="none"), 0.1, StepGate(2.0), balance=balance)
    denoising = torch.where(SIGMA[:, None] <= 2, (x - target).flatten(1), 0).square().mean(1)
    found = term(x, target, SIGMA, denoising=denoising)
    (gradient,) = torch.autograd.grad(found.weighted.sum(), x)
    assert found.weighted[3] == 0 and not gradient[3].any()

    three = x.detach()[:3].requires_grad_()
    alone = term(three, target[:3], SIGMA[:3], denoising=(three - target[:3]).flatten(1).square().mean(1))
    torch.testing.assert_close(found.weighted[:3], alone.weighted)
    torch.testing.assert_close(gradient[:3], torch.autograd.grad(alone.weighted.sum(), three)[0])
    torch.testing.assert_close(found.grad_share, alone.grad_share)


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"weight": 0.1, "ramp_steps": 10}])
def test_a_weight_of_nothing_hides_what_is_not_finite(options: dict) -> None:
    x = noise(4, 1, 64)
    x[0] = float("nan")
    x.requires_grad_()
    found = Regularizer(FourierAmplitudeLoss(reduction="none"), **options)(x, noise(4, 1, 64, seed=1), SIGMA, 0)
    assert found.weighted.tolist() == [0] * 4
    assert not torch.autograd.grad(found.weighted.sum(), x)[0].any()


def test_an_objective_without_weight_at_a_noise_level_does_not_see_it() -> None:
    x0, x0_hat = noise(4, 1, 64), noise(4, 1, 64, seed=1)
    x0_hat[3] = float("inf")
    x0_hat.requires_grad_()
    terms = Objective(EDM(0.5), weighting=StepGate(2.0)).compare(x0_hat, x0, SIGMA)
    terms.total.mean().backward()
    assert terms.total[3] == 0 and not x0_hat.grad[3].any()
    torch.testing.assert_close(terms.total[:3].detach(), (x0_hat - x0).detach()[:3].square().flatten(1).mean(1))


class Diverges(nn.Module):
    """A teacher's network that overflows at noise levels that it was not trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return torch.where(c_noise.view(-1, 1, 1) > 0.3, torch.inf, self.scale * x)  # c_noise = log(sigma) / 4


def test_what_a_teacher_cannot_teach_leaves_no_trace() -> None:
    teacher = Denoiser(Diverges(), EDM(0.5, sigma_max=3.0), (1, 16))
    student = Denoiser(Diverges(), EDM(0.5), (1, 16))
    objective = DistillationObjective(Objective(EDM(0.5)), teacher, student, features=False, spatial=1, frequency=1)
    draw = objective.draw((4, 1, 16), torch.Generator().manual_seed(0))._replace(sigma=SIGMA)

    def told(x: Tensor, sigma: Tensor) -> Tensor:
        return student.network.scale * x

    terms = objective(told, noise(4, 1, 16), draw=draw)
    (gradient,) = torch.autograd.grad(terms.total.sum(), student.network.scale)
    assert torch.isfinite(gradient).all() and torch.isfinite(terms.total).all()
    assert terms.parts["distill_spatial"][3] == 0 and terms.parts["distill_spatial"][:3].all()


def test_repr_shows_what_a_term_is() -> None:
    shown = repr(Regularizer(FourierAmplitudeLoss(reduction="none"), 0.25, InverseSigmaGate(2.0), 10, "gradient"))
    assert "weight=0.25" in shown and "InverseSigmaGate(sigma_gate=2.0)" in shown
    assert "ramp_steps=10" in shown and "balance='gradient'" in shown and "FourierAmplitudeLoss()" in shown
