"""Values that were wrong in silence: shapes of sigma, closed gates, silent clips; and transforms of torch.func."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser, DistillationObjective, Objective
from mmspec.diffusion.denoiser import expand_sigma
from mmspec.diffusion.processes import DDPM, EDM, IDDPM, VE, VP, DiffWave, Flow
from mmspec.errors import InputError
from mmspec.experiment.signals import deviation
from mmspec.losses import (
    FourierAmplitudeLoss,
    FourierAmplitudePhaseLoss,
    MultiResolutionSTFTLoss,
    Regularizer,
    SigmaWeight,
    WaveletLoss,
)
from mmspec.losses.weighting import EDMWeight, InverseSigmaGate, MinSNRWeight, P2Weight, StepGate, noise_level
from tests.packed import write_clips

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


@pytest.mark.parametrize("shape", [(4, 1, 1, 1), (4, 1), (1,), (3,), (1, 4), (1, 1, 64)])
def test_a_sigma_of_another_shape_is_refused_wherever_it_weighs_samples(shape: tuple[int, ...]) -> None:
    x, target, sigma = noise(4, 1, 64), noise(4, 1, 64, seed=1), torch.full(shape, 0.5)
    said = rf"sigma must be a number, \[\], \[4\] or \[4, 1, 1\].*not {re.escape(str(list(shape)))}"
    for gate in (None, InverseSigmaGate(), StepGate(1.0)):
        with pytest.raises(ValueError, match=said):
            Regularizer(FourierAmplitudeLoss(reduction="none"), sigma_weight=gate)(x, target, sigma)
    with pytest.raises(ValueError, match=said):
        expand_sigma(sigma, x)
    with pytest.raises(ValueError, match=said):
        Objective(EDM(0.5)).compare(x, target, sigma)
    with pytest.raises(ValueError, match=said):
        Denoiser(nn.Conv1d(1, 1, 1), EDM(0.5))(x, sigma)


@pytest.mark.parametrize("sigma", [None, "0.5", [0.5] * 4, 1j, torch.tensor(1j)])
def test_what_is_no_sigma_is_refused_by_its_name(sigma: object) -> None:
    with pytest.raises(ValueError, match="sigma must be a number"):
        Regularizer(FourierAmplitudeLoss(reduction="none"))(noise(4, 1, 8), noise(4, 1, 8, seed=1), sigma)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0])
@pytest.mark.parametrize("kind", [float, torch.tensor, lambda value: torch.tensor([0.5, value, 0.5, 0.5])])
def test_what_is_no_noise_level_is_refused_wherever_it_weighs_samples(value: float, kind: Callable) -> None:
    """Sigma of NaN made a loss of NaN, one of -1 a gate of -1, an infinite one a gate of 0, in silence."""
    x, target, sigma = noise(4, 1, 64), noise(4, 1, 64, seed=1), kind(value)
    said = "sigma is a standard deviation of noise, finite and 0 or more, not "
    for gate in (None, InverseSigmaGate(), StepGate(1.0)):
        with pytest.raises(ValueError, match=said):
            Regularizer(FourierAmplitudeLoss(reduction="none"), sigma_weight=gate)(x, target, sigma)
    with pytest.raises(ValueError, match=said):
        Objective(EDM(0.5)).compare(x, target, sigma)
    with pytest.raises(ValueError, match=said):
        Denoiser(nn.Conv1d(1, 1, 1), EDM(0.5))(x, sigma)


class Elsewhere(TorchDispatchMode):
    """Refuses to tell the host a value, as asking a device would make it wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        assert func is not torch.ops.aten._local_scalar_dense.default, "the host waits for the device"
        return func(*args, **(kwargs or {}))


def test_sigma_on_a_device_is_not_looked_at() -> None:
    x = torch.zeros(4, 1, 64, device="meta")
    with Elsewhere():
        assert noise_level(torch.full((4,), -1.0, device="meta"), x).shape == (4,)
        with pytest.raises(AssertionError, match="the host waits"):
            noise_level(torch.full((4,), -1.0), x)


def test_sigma_is_not_looked_at_where_torch_transforms_what_it_is_in() -> None:
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.3, InverseSigmaGate(1.0))
    x, target = noise(4, 1, 64), noise(4, 1, 64, seed=1)
    each = torch.vmap(lambda x, target, sigma: term(x[None], target[None], sigma).weighted[0])
    torch.testing.assert_close(each(x, target, SIGMA), term(x, target, SIGMA).weighted)


NOT_NUMBERS = (float("nan"), float("inf"), -1.0)
OPTIONS = {
    Regularizer: ({"weight": NOT_NUMBERS, "ramp_steps": NOT_NUMBERS}, {"loss": FourierAmplitudeLoss(reduction="none")}),
    EDMWeight: ({"sigma_data": (*NOT_NUMBERS, 0)}, {}),
    P2Weight: ({"k": (*NOT_NUMBERS, 0), "gamma": NOT_NUMBERS}, {}),
    MinSNRWeight: ({"gamma": (float("nan"), -1.0, 0)}, {}),
    StepGate: ({"sigma_gate": (float("nan"), -1.0, 0)}, {}),
    InverseSigmaGate: ({"sigma_gate": (float("nan"), -1.0, 0)}, {}),
    WaveletLoss: (
        {"level_weights": [(1, each) for each in NOT_NUMBERS], "band_weights": [(1, each) for each in NOT_NUMBERS]},
        {"levels": 2},
    ),
    MultiResolutionSTFTLoss: (dict.fromkeys(("w_sc", "w_log_mag", "w_lin_mag", "loudness"), NOT_NUMBERS), {}),
    EDM: (
        {"mean": NOT_NUMBERS[:2], "std": NOT_NUMBERS}
        | dict.fromkeys(("sigma_data", "sigma_min", "sigma_max"), (*NOT_NUMBERS, 0)),
        {},
    ),
    VP: (dict.fromkeys(("beta_d", "beta_min", "epsilon_t"), (*NOT_NUMBERS, 0)) | {"timesteps": (1, 0, -1)}, {}),
    VE: (dict.fromkeys(("sigma_min", "sigma_max"), (*NOT_NUMBERS, 0)), {}),
    Flow: (dict.fromkeys(("t_min", "t_max", "time_scale"), (*NOT_NUMBERS, 0)), {}),
    DDPM: (dict.fromkeys(("beta_min", "beta_max"), (*NOT_NUMBERS, 0)) | {"timesteps": (0, -1)}, {}),
    IDDPM: (dict.fromkeys(("c_1", "c_2"), (*NOT_NUMBERS, 0)) | {"timesteps": (0, -1)}, {}),
    DiffWave: (dict.fromkeys(("beta_min", "beta_max"), (*NOT_NUMBERS, 0)) | {"timesteps": (1, 0, -1)}, {}),
}


@pytest.mark.parametrize("made", OPTIONS, ids=lambda made: made.__name__)
def test_options_that_are_no_numbers_of_their_range_are_refused(made: type) -> None:
    values, others = OPTIONS[made]
    for name, wrong in values.items():
        for value in wrong:
            with pytest.raises(ValueError, match=r"\.$"):
                made(**others, **{name: value})


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


class OfTheBatch(nn.Module):
    """Losses of somebody's own, which say nothing of their reduction."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        square = (input - target).square()
        return square.flatten(self.axes).mean(self.axes)


@pytest.mark.parametrize("gate", [None, InverseSigmaGate(), StepGate(1.0)])
@pytest.mark.parametrize(("loss", "shape"), [(OfTheBatch(0), r"\[\]"), (nn.MSELoss(reduction="none"), r"\[4, 1, 8\]")])
def test_a_loss_that_is_not_one_value_a_sample_is_refused(loss: nn.Module, shape: str, gate: StepGate) -> None:
    """A mean over the batch was gated by each sample's sigma, and spread over all of them."""
    x, target = noise(4, 1, 8), noise(4, 1, 8, seed=1)
    with pytest.raises(ValueError, match=rf"must give one value for each sample, \[4\], not {shape}"):
        Regularizer(loss, sigma_weight=gate)(x, target, SIGMA)
    expected = (x - target).square().flatten(1).mean(1)
    torch.testing.assert_close(Regularizer(OfTheBatch(1), 1.0)(x, target, SIGMA).weighted, expected)


@pytest.mark.parametrize("denoising", [torch.ones(4, 1, 8), torch.ones(1)])
def test_a_denoising_loss_that_is_not_one_value_a_sample_is_refused(denoising: Tensor) -> None:
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), balance="gradient")
    with pytest.raises(ValueError, match=r"denoising must be one value for each sample, \[4\], not"):
        term(noise(4, 1, 8).requires_grad_(), noise(4, 1, 8, seed=1), SIGMA, denoising=denoising)


def test_steps_before_the_first_are_refused() -> None:
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), ramp_steps=10)
    with pytest.raises(ValueError, match="step counts from 0, it is -5"):
        term(noise(4, 1, 8), noise(4, 1, 8, seed=1), SIGMA, step=-5)


def test_repr_shows_what_a_term_is() -> None:
    shown = repr(Regularizer(FourierAmplitudeLoss(reduction="none"), 0.25, InverseSigmaGate(2.0), 10, "gradient"))
    assert "weight=0.25" in shown and "InverseSigmaGate(sigma_gate=2.0)" in shown
    assert "ramp_steps=10" in shown and "balance='gradient'" in shown and "FourierAmplitudeLoss()" in shown


def clips(level: float = 0.2, quiet: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Eight tones in soft noise, and predictions that are 0.05 off; clip 3 may be another."""
    time = torch.arange(4096) / 8000
    target = torch.stack([torch.sin(6.2832 * (200 + 50 * i) * time) for i in range(8)])[:, None]
    target = level * (1.4 * target + 0.1 * noise(8, 1, 4096))
    if quiet is not None:
        target[3] = quiet
    return (target + 0.05 * noise(8, 1, 4096, seed=1)).requires_grad_(), target


TIME = torch.arange(4096) / 8000
QUIET = {
    "silence": torch.zeros(1, 4096),
    "one bit": noise(1, 4096, seed=2).sign() / 32768,
    "one bit on a constant": (noise(1, 4096, seed=2) > 0) / 32768,
    "-70 dB": 10**-3.5 * noise(1, 4096, seed=2),
    "-60 dB": 1e-3 * noise(1, 4096, seed=2),
    "-40 dB": 1e-2 * noise(1, 4096, seed=2),
    "-30 dB": 10**-1.5 * noise(1, 4096, seed=2),
    "constant": torch.full((1, 4096), 0.01),
    "hum": 0.01 * torch.sin(6.2832 * 50 * TIME)[None],
    "click": (torch.arange(4096) == 2000)[None].float(),
    "soft click": 0.1 * (torch.arange(4096) == 2000)[None],
    "ramp": torch.linspace(-0.02, 0.02, 4096)[None],
}
OTHERS = [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("loudness", [None, 0.2])
@pytest.mark.parametrize("name", QUIET)
def test_a_silent_clip_does_not_own_a_batch_of_the_stft_loss(name: str, loudness: float | None) -> None:
    """Its spectral convergence was 7,670 where the others' is 0.2, and their pull fell 500 times under balancing.

    Its error is the others', so that it may count up to 1 / SOFT = 4 times what they do, and a little, as a norm of
    magnitudes is no norm of samples.
    """
    (x, target), (all_x, all_target) = clips(quiet=QUIET[name]), clips()
    convergence = MultiResolutionSTFTLoss(w_log_mag=0.0, reduction="none", loudness=loudness)
    values = convergence(x, target)
    assert values[3] < 5 * values[OTHERS].mean()
    assert torch.equal(values[OTHERS], convergence(all_x, all_target)[OTHERS])
    (gradient,) = torch.autograd.grad(values.sum(), x)
    pulls = gradient.flatten(1).norm(dim=1)
    assert pulls[3] < 5 * pulls[OTHERS].mean()

    term = Regularizer(MultiResolutionSTFTLoss(reduction="none", loudness=loudness), weight=0.1, balance="gradient")
    pulls = []
    for prediction, clean in ((x, target), (all_x, all_target)):
        denoising = (prediction - clean).square().flatten(1).mean(1)
        weighted = term(prediction, clean, 0.05, denoising=denoising).weighted.mean()
        (gradient,) = torch.autograd.grad(weighted, prediction)
        assert torch.isfinite(gradient).all()
        pulls.append(gradient[OTHERS].norm())
    assert 0.6 < pulls[0] / pulls[1] < 1.7


def test_no_loudness_of_one_clip_outweighs_a_batch() -> None:
    """At every level, the value at its worst is a quarter of the mean level away: 4 times a neighbour's."""
    shares = []
    for level in torch.logspace(-5, 0, 41):
        x, target = clips(quiet=level * noise(1, 4096, seed=2))
        values = MultiResolutionSTFTLoss(w_log_mag=0.0, reduction="none")(x, target).detach()
        shares.append(values[3] / values[OTHERS].mean())
    assert 2 < max(shares) < 5 and min(shares[:8]) < 0.05


def test_known_loudness_makes_a_sample_independent_of_its_batch() -> None:
    """So micro-batches take the step of the whole batch, which the mean of the batch at hand would not let them."""
    x, target = clips(quiet=QUIET["constant"])
    known = MultiResolutionSTFTLoss(reduction="none", loudness=0.2)
    alone = torch.cat([known(x[i : i + 1], target[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(known(x, target), alone)


def test_a_loud_clip_does_not_hide_the_others() -> None:
    """20 dB above its neighbours, it leaves them what auraloss says."""
    x, target = clips(level=0.05)
    loud = clips(level=0.05, quiet=10 * target[3])
    loss = MultiResolutionSTFTLoss(reduction="none")
    assert torch.equal(loss(*loud)[OTHERS], loss(x, target)[OTHERS])


@pytest.mark.parametrize("loudness", [-1.0, float("nan"), float("inf")])
def test_a_loudness_that_cannot_be_is_refused(loudness: float) -> None:
    with pytest.raises(ValueError, match="loudness is a root mean square of 0 or more"):
        MultiResolutionSTFTLoss(loudness=loudness)


@pytest.mark.parametrize("level", [1.0, 0.2, 0.02, 0.004])  # down to -48 dB of full scale
@pytest.mark.parametrize("options", [{}, {"w_log_mag": 0.0}, {"w_lin_mag": 1.0}])
def test_what_can_be_heard_is_measured_as_auraloss_does(level: float, options: dict) -> None:
    auraloss = pytest.importorskip("auraloss")
    x, target = clips(level)
    values = MultiResolutionSTFTLoss(**options, reduction="none")(x, target)
    theirs = auraloss.freq.MultiResolutionSTFTLoss(**options)
    expected = torch.stack([theirs(x[i : i + 1], target[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=0)


def test_a_quiet_picture_does_not_own_a_batch_of_the_stft_loss() -> None:
    target = 0.3 * noise(4, 3, 32, 32)
    target[2] = 0
    x = (target + 0.05 * noise(4, 3, 32, 32, seed=1)).requires_grad_()
    values = MultiResolutionSTFTLoss(w_log_mag=0.0, reduction="none")(x, target)
    assert values[2] == 0 and (values[[0, 1, 3]] > 0.05).all()
    assert not torch.autograd.grad(values[2], x)[0].any()


def test_convergence_fades_out_with_the_target() -> None:
    """Between -50 dB and silence it only falls, as its level: no step, no peak."""
    loss = MultiResolutionSTFTLoss((256,), w_log_mag=0.0, reduction="none")
    error, tone = 0.05 * noise(1, 1, 4096, seed=1), noise(1, 1, 4096) / noise(1, 1, 4096).square().mean().sqrt()
    levels = [10**-2.5, 10**-2.75, 1e-3, 1e-4, 1e-5, 0.0]
    values = [loss(level * tone + error, level * tone).item() for level in levels]
    assert values == sorted(values, reverse=True)
    assert values[1] / values[0] == pytest.approx(10**-0.25, rel=0.05)  # ^2 over what is relative to it


def test_data_without_statistics_are_said_to_lack_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    dataset = PackedDataset(write_clips(tmp_path / "clips", noise(4, 64).numpy() / 8, 8000))
    with pytest.raises(InputError, match=r"clips was packed without its sigma_data in meta.json's statistics, from"):
        deviation(dataset, None)
