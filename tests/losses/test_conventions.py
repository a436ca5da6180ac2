"""Other loops' conventions of noise and prediction: against plain mixtures, our processes, diffusers' schedulers."""

import pytest
import torch
from torch import Tensor

from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import DDPM, Flow
from mmspec.losses import FourierAmplitudeLoss, InverseSigmaGate, Regularizer, clean_and_sigma

TABLE = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
PLACES = torch.tensor([0, 250, 999])
SIGMA = ((1 - TABLE) / TABLE).sqrt()[PLACES]
SHAPES = [(3, 2, 16), (3, 1, 6, 8)]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def over(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 1))


def mixtures(x0: Tensor, n: Tensor) -> dict[str, tuple[Tensor, Tensor, dict, dict[str, Tensor]]]:
    """Way -> signal and noise shares, how the noise is told, and what a perfect network predicts under each name."""
    kept, t, sigma = TABLE[PLACES], torch.tensor([0.1, 0.5, 0.9]).double(), torch.tensor([0.02, 1.0, 40.0]).double()
    root = over((sigma**2 + 1).rsqrt(), n)
    both = {"epsilon": n, "sample": x0}
    table = {**both, "v_prediction": over(kept.sqrt(), n) * n - over((1 - kept).sqrt(), n) * x0}
    return {
        "table": (kept.sqrt(), (1 - kept).sqrt(), {"alphas_cumprod": TABLE, "timesteps": PLACES}, table),
        "each": (kept.sqrt(), (1 - kept).sqrt(), {"alphas_cumprod": kept}, table),
        "flow": (1 - t, t, {"t": t}, {**both, "flow_prediction": n - x0}),
        "sigma": (
            torch.ones(3),
            sigma,
            {"sigma": sigma},
            {**both, "v_prediction": root * n - over(sigma, n) * root * x0},
        ),
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("way", ["table", "each", "flow", "sigma"])
def test_a_perfect_prediction_is_the_clean_signal(way, shape):
    x0, n = draw(*shape), draw(*shape, seed=1)
    signal, noise, told, predictions = mixtures(x0, n)[way]
    noisy = over(signal, x0) * x0 + over(noise, x0) * n
    assert len(predictions) == 3
    for name, prediction in predictions.items():
        x0_hat, sigma = clean_and_sigma(noisy, prediction, name, **told)
        torch.testing.assert_close(x0_hat, x0)
        torch.testing.assert_close(sigma, noise / signal)


@pytest.mark.parametrize(
    ("name", "process", "prediction"),
    [("epsilon", DDPM(), "noise"), ("v_prediction", DDPM(prediction="velocity"), "velocity"),
     ("sample", DDPM(prediction="signal"), "signal"), ("flow_prediction", Flow(), "flow")],
)  # fmt: skip
def test_our_own_processes_say_the_same(name, process, prediction):
    raw, noisy = draw(3, 1, 16).float(), draw(3, 1, 16, seed=1).float()  # whatever a network gives
    sigma = SIGMA.float()
    share = sigma / (1 + sigma)
    told = {"t": share} if name == "flow_prediction" else {"alphas_cumprod": TABLE, "timesteps": PLACES}
    x0_hat, found = clean_and_sigma(noisy, raw, name, **told)
    denoiser = Denoiser(Says(raw), process)
    c_in = process.scalings(sigma).c_in
    torch.testing.assert_close(found, sigma, rtol=1e-5, atol=0)
    torch.testing.assert_close(x0_hat, denoiser(noisy / over(c_in, noisy), sigma), rtol=1e-4, atol=1e-4)


class Says(torch.nn.Module):
    def __init__(self, raw: Tensor) -> None:
        super().__init__()
        self.raw = raw

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.raw


@pytest.mark.parametrize("name", ["epsilon", "v_prediction", "sample"])
def test_diffusers_table_says_the_same(name):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    scheduler = diffusers.DDPMScheduler(prediction_type=name, clip_sample=False)
    x0, n, raw = (draw(3, 1, 8, 8, seed=seed).float() for seed in range(3))
    noisy = scheduler.add_noise(x0, n, PLACES)
    x0_hat, _ = clean_and_sigma(noisy, raw, name, alphas_cumprod=scheduler.alphas_cumprod, timesteps=PLACES)
    for row, place in enumerate(PLACES):
        theirs = scheduler.step(raw[row], place, noisy[row]).pred_original_sample
        torch.testing.assert_close(x0_hat[row], theirs, rtol=1e-4, atol=1e-4)
    if name == "v_prediction":
        velocity = scheduler.get_velocity(x0, n, PLACES)
        told = {"alphas_cumprod": scheduler.alphas_cumprod, "timesteps": PLACES}
        torch.testing.assert_close(clean_and_sigma(noisy, velocity, name, **told).x0_hat, x0, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_diffusers_levels_in_sigma_say_the_same(name):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    scheduler = diffusers.EulerDiscreteScheduler(prediction_type=name)
    scheduler.set_timesteps(5)
    x, raw, sigma = draw(1, 1, 8, 8).float(), draw(1, 1, 8, 8, seed=1).float(), scheduler.sigmas[0]
    theirs = scheduler.step(raw, scheduler.timesteps[0], x).pred_original_sample
    torch.testing.assert_close(clean_and_sigma(x, raw, name, sigma=sigma).x0_hat, theirs, rtol=1e-4, atol=1e-4)


def test_diffusers_flow_says_the_same():
    """A step of Euler's method to t = 0 is the clean signal."""
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(1)
    scheduler.sigmas = torch.tensor([0.7, 0.0])
    x, raw = draw(1, 1, 8, 8).float(), draw(1, 1, 8, 8, seed=1).float()
    theirs = scheduler.step(raw, scheduler.timesteps[0], x).prev_sample
    ours = clean_and_sigma(x, raw, "flow_prediction", t=0.7)
    torch.testing.assert_close(ours.x0_hat, theirs)
    torch.testing.assert_close(ours.sigma, torch.tensor([7 / 3]))


def test_shapes_of_one_level_and_of_many_agree():
    noisy, raw = draw(3, 1, 4, 4), draw(3, 1, 4, 4, seed=1)
    expected = clean_and_sigma(noisy, raw, t=0.25)
    for t in (torch.tensor(0.25), torch.full((3,), 0.25), torch.full((3, 1, 1, 1), 0.25)):
        for ours, same in zip(clean_and_sigma(noisy, raw, t=t), expected, strict=True):
            torch.testing.assert_close(ours, same)
    number = clean_and_sigma(noisy, raw, alphas_cumprod=TABLE, timesteps=7)
    torch.testing.assert_close(number, clean_and_sigma(noisy, raw, alphas_cumprod=TABLE, timesteps=torch.full((3,), 7)))
    of_numpy = clean_and_sigma(noisy, raw, alphas_cumprod=TABLE.numpy(), timesteps=7)
    torch.testing.assert_close(of_numpy, number, rtol=0, atol=0)


def test_halves_are_computed_in_float32_and_gradients_flow():
    noisy, raw = draw(3, 1, 16).bfloat16(), draw(3, 1, 16, seed=1).bfloat16().requires_grad_()
    x0_hat, sigma = clean_and_sigma(noisy, raw, alphas_cumprod=TABLE, timesteps=PLACES)
    assert x0_hat.dtype == sigma.dtype == torch.float32
    (gradient,) = torch.autograd.grad(x0_hat.sum(), raw)
    torch.testing.assert_close(gradient[:, 0, 0].float(), -SIGMA.float(), rtol=1e-2, atol=0)


def test_pure_noise_has_a_finite_level_that_a_gate_shuts_out():
    """Flows draw t = 1, and tables of zero terminal SNR end at abar = 0: a regularizer refuses an infinite sigma."""
    noisy, raw = draw(2, 1, 64).float(), draw(2, 1, 64, seed=1).float()
    for name, told in (("flow_prediction", {"t": 1.0}), ("v_prediction", {"alphas_cumprod": torch.zeros(2)})):
        x0_hat, sigma = clean_and_sigma(noisy, raw, name, **told)
        torch.testing.assert_close(x0_hat, noisy - raw if name == "flow_prediction" else -raw)
        term = Regularizer(FourierAmplitudeLoss(reduction="none"), 1.0, InverseSigmaGate())(x0_hat, noisy, sigma)
        assert sigma.tolist() == [2.0**23] * 2 and (term.weighted < 1e-5).all()


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("epsilon", {}, "not by nothing"),
        ("epsilon", {"t": 0.5, "sigma": 1.0}, "not by t=, sigma="),
        ("epsilon", {"timesteps": PLACES, "sigma": 1.0}, "not by sigma=, timesteps="),
        ("eps", {"t": 0.5}, "one of epsilon, v_prediction, sample, flow_prediction, not 'eps'"),
        ("flow_prediction", {"sigma": 0.5}, "give t=, which diffusers' flow schedulers call sigmas"),
        ("v_prediction", {"t": 0.5}, "give alphas_cumprod= or sigma=, not t="),
        ("flow_prediction", {"t": torch.tensor([0.5, 1.5, 0.0])}, r"between 0 .*and 1 .*it is \[1.5\]"),
        ("epsilon", {"t": 1.0}, "nothing is left"),
        ("epsilon", {"sigma": -1.0}, "finite and 0 or more"),
        ("epsilon", {"sigma": torch.ones(3, 1)}, r"not \[3, 1\]"),
        ("epsilon", {"alphas_cumprod": TABLE}, r"without timesteps= .a table needs them. must be .* not \[1000\]"),
        ("epsilon", {"alphas_cumprod": TABLE, "timesteps": 1000}, r"from 0 to 999, found \[1000"),
        ("epsilon", {"alphas_cumprod": TABLE, "timesteps": torch.rand(3)}, "whole numbers"),
        ("epsilon", {"alphas_cumprod": 2 * TABLE, "timesteps": PLACES}, "between 0 and 1"),
        ("epsilon", {"alphas_cumprod": TABLE[None], "timesteps": PLACES}, r"a table \[T\]"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_in_a_sentence(name, told, said):
    with pytest.raises(ValueError, match=said):
        clean_and_sigma(draw(3, 1, 8), draw(3, 1, 8), name, **told)


def test_a_predicted_variance_is_refused():
    with pytest.raises(ValueError, match="give the first half of the channels"):
        clean_and_sigma(draw(3, 1, 8), draw(3, 2, 8), sigma=1.0)
