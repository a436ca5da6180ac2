"""VP, VE, EDM, DDPM, iDDPM, flow matching and DiffWave: one denoiser, one objective, one regularizer in all of them."""

import math

import numpy as np
import pytest
import torch

from mmspec.components import choices
from mmspec.config import compose, plain
from mmspec.diffusion import Denoiser, Objective, sample
from mmspec.diffusion.noise import LogNormal
from mmspec.diffusion.objective import Draw
from mmspec.diffusion.processes import DDPM, IDDPM, LDM, VE, VP, Flow, Process
from mmspec.diffusion.processes.ddpm import ddpm_betas
from mmspec.diffusion.processes.iddpm import iddpm_sigmas
from mmspec.diffusion.processes.vp import vp_sigma, vp_time
from mmspec.experiment.experiment import Experiment
from mmspec.losses import FourierAmplitudePhaseLoss, WaveletLoss
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.weighting import EDMWeight, InverseSigmaGate, NoisePredictionWeight, VelocityWeight
from mmspec.networks import DiffWave as DiffWaveNetwork
from mmspec.networks import UNet
from mmspec.typed import read
from tests.oracles import Gaussian

PROCESSES = ["ddpm", "ddpm_velocity", "ddpm_signal", "vp", "ve", "edm", "iddpm", "flow", "diffwave"]
SHAPES = [(4, 1, 32), (4, 2, 12, 8)]


@pytest.fixture(scope="module")
def schedules(references):
    return references.arrays("edm/precond_schedules")


def test_vp_is_the_original(schedules):
    vp, time = VP(), torch.from_numpy(schedules["vp_t"])
    sigma = vp_sigma(time, vp.beta_d, vp.beta_min)
    np.testing.assert_allclose(sigma.numpy(), schedules["vp_sigma_of_t"], rtol=1e-9)
    np.testing.assert_allclose(vp_time(sigma, vp.beta_d, vp.beta_min).numpy(), schedules["vp_sigma_inv"], rtol=1e-9)
    np.testing.assert_allclose(vp.scalings(sigma).c_noise.numpy(), 999 * schedules["vp_t"], rtol=1e-9)
    assert vp.sigma_min == schedules["vp_sigma_min"] == 0.0009765625  # in float32, as the original
    assert vp.sigma_max == schedules["vp_sigma_max"]


def test_iddpm_is_the_original(schedules):
    iddpm = IDDPM()
    np.testing.assert_allclose(iddpm_sigmas().numpy(), schedules["iddpm_u"], rtol=2e-6)
    assert iddpm.sigma_min == pytest.approx(schedules["iddpm_sigma_min"], rel=1e-6)
    assert iddpm.sigma_max == pytest.approx(schedules["iddpm_sigma_max"], rel=1e-6)
    query = torch.from_numpy(schedules["iddpm_query"])
    np.testing.assert_allclose(iddpm.round_sigma(query).numpy(), schedules["iddpm_round"], rtol=2e-6)
    np.testing.assert_array_equal(iddpm.scalings(query).c_noise.numpy(), 999 - schedules["iddpm_index"])


@pytest.mark.parametrize("case", ["vp", "ve"])
def test_vp_and_ve_losses_are_the_original_up_to_the_mean(references, case):
    golden, stated = references.arrays("edm/losses"), references.facts("edm/losses")[case]
    process = {"vp": VP(), "ve": VE()}[case]
    drawn = process.draw(4, torch.Generator().manual_seed(stated["seed"]))
    np.testing.assert_allclose(drawn.numpy(), golden[f"{case}/sigma"].flatten(), rtol=1e-6)
    draw = Draw(drawn, torch.from_numpy(golden[f"{case}/draw1"]), torch.ones(4))
    x0 = torch.from_numpy(golden["images"])
    terms = Objective(process)(Gaussian(0.5), x0, draw=draw)
    np.testing.assert_allclose(terms.total.numpy(), golden[f"{case}/loss"].reshape(4, -1).mean(1), rtol=1e-4)


@pytest.mark.parametrize("name", ["EDM", "VP", "VE", "Flow", "DDPM", "IDDPM"])
def test_the_right_answer_of_a_network_gives_the_clean_signal(name):
    process = choices(Process)[name]()
    sigma = process.round_sigma(torch.tensor([0.03, 0.7, 12.0], dtype=torch.float64))
    x0, noise = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x0 + sigma * noise
    c_skip, c_out, _, _ = process.scalings(sigma)
    answer = {"Flow": noise - x0, "VE": -noise, "EDM": (x0 - c_skip * x) / c_out}.get(name, noise)
    torch.testing.assert_close(c_skip * x + c_out * answer, x0)


PREDICTED = {  # of x0, noise and abar; Salimans and Ho 2022, section 4
    "noise": lambda x0, noise, abar: noise,
    "velocity": lambda x0, noise, abar: abar.sqrt() * noise - (1 - abar).sqrt() * x0,
    "signal": lambda x0, noise, abar: x0,
}


@pytest.mark.parametrize("cls", [DDPM, LDM])
@pytest.mark.parametrize("name", PREDICTED)
def test_each_prediction_on_a_table_gives_the_clean_signal_and_weighs_its_own_error(cls, name):
    process = cls(prediction=name)
    abar = torch.cumprod(1 - ddpm_betas(**{k: process.config[k] for k in ("schedule", "beta_min", "beta_max")}), 0)
    t = torch.tensor([3, 400, 990])
    sigma, abar = ((1 - abar[t]) / abar[t]).sqrt(), abar[t]
    x0, noise, wrong = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answer = PREDICTED[name](x0, noise, abar)
    c_skip, c_out, c_in, c_noise = process.scalings(sigma)
    x_t = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
    torch.testing.assert_close(c_in * (x0 + sigma * noise), x_t)
    assert c_noise.tolist() == t.tolist()
    torch.testing.assert_close(c_skip * (x0 + sigma * noise) + c_out * answer, x0)
    error = c_out * wrong
    torch.testing.assert_close(process.weight(sigma) * error**2, wrong**2)
    assert type(process)(**process.config).prediction == name


@pytest.mark.parametrize("name", PREDICTED)
def test_the_exact_denoiser_behind_each_prediction_is_sampled_alike(name):
    """A network that predicts by the exact denoiser of normally distributed data gives that denoiser back."""
    process, exact = LDM(prediction=name), Gaussian(0.5)

    class Network(torch.nn.Module):
        def forward(self, x, c_noise):
            sigma = process.sigmas.double()[c_noise.long()][:, None, None]
            x0 = exact(x * (sigma**2 + 1).sqrt(), sigma[:, 0, 0])
            return PREDICTED[name](x0, (x * (sigma**2 + 1).sqrt() - x0) / sigma, 1 / (sigma**2 + 1))

    def denoise(x, sigma):
        c_skip, c_out, c_in, c_noise = (each[:, None, None] for each in process.scalings(sigma))
        return c_skip * x + c_out * Network()(c_in * x, c_noise[:, 0, 0])

    noise = torch.randn(2, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sigmas = process.sampling_sigmas(20).float().double()
    ours, expected = (sample(each, noise, sampler="ddim", sigmas=sigmas) for each in (denoise, exact))
    torch.testing.assert_close(ours, expected)


def test_networks_get_what_their_process_is_stated_to_give():
    sigma = torch.tensor([0.02, 1.0, 9.0], dtype=torch.float64)
    t = sigma / (1 + sigma)
    x0, noise = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flow = Flow().scalings(sigma)
    torch.testing.assert_close(flow.c_in * (x0 + sigma * noise), (1 - t) * x0 + t * noise)
    torch.testing.assert_close(flow.c_noise, 1000 * t)
    ve = VE().scalings(sigma)
    torch.testing.assert_close(ve.c_noise, torch.log(sigma / 2))
    assert (ve.c_in == 1).all() and (ve.c_skip == 1).all() and (ve.c_out == sigma).all()
    for process in (VP(), IDDPM(), DDPM()):
        torch.testing.assert_close(process.scalings(sigma).c_in, 1 / (sigma**2 + 1).sqrt())


def test_eulers_method_in_sigma_is_that_in_t_for_flow_matching():
    x0_hat = torch.tensor(0.3, dtype=torch.float64)
    t = torch.tensor([0.999, 0.6, 0.25], dtype=torch.float64)
    start = torch.tensor([[[1.7]]], dtype=torch.float64)
    t_now, x_t = t[0], (1 - t[0]) * (t[0] / (1 - t[0])) * start
    for t_next in (*t[1:], torch.zeros(())):
        velocity = (x_t - x0_hat) / t_now  # n - x0 for the x_t at hand
        x_t, t_now = x_t + (t_next - t_now) * velocity, t_next
    out = sample(lambda x, sigma: torch.full_like(x, 0.3), start, sampler="euler", sigmas=t / (1 - t))
    torch.testing.assert_close(out, x_t)
    grid = Flow().sampling_sigmas(4)
    torch.testing.assert_close(grid / (1 + grid), 0.999 * t.new_tensor([1, 0.75, 0.5, 0.25]))


def test_velocity_weight_makes_it_the_error_of_the_velocity():
    sigma = torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64)
    x0, noise, x0_hat = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noise_hat = (x0 + sigma * noise - x0_hat) / sigma
    error = ((noise_hat - x0_hat) - (noise - x0)) ** 2
    torch.testing.assert_close(VelocityWeight()(sigma) * (x0_hat - x0) ** 2, error)


WEIGHTS = {"EDM": EDMWeight(), "Flow": VelocityWeight()}


@pytest.mark.parametrize("name", choices(Process))
def test_the_weight_makes_it_the_error_of_the_network(name):
    process = choices(Process)[name]()
    sigma = process.round_sigma(torch.tensor([0.03, 0.7, 12.0], dtype=torch.float64))
    torch.testing.assert_close(process.weight(sigma), WEIGHTS.get(name, NoisePredictionWeight())(sigma))


@pytest.mark.parametrize("name", choices(Process))
def test_a_process_draws_what_it_knows_by_the_generator_alone(name):
    process = choices(Process)[name]()
    drawn = [process.draw(500, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*drawn) and drawn[0].dtype == torch.float32 and drawn[0].shape == (500,)
    torch.testing.assert_close(process.round_sigma(drawn[0]), drawn[0])
    again = type(process)(**process.config)
    torch.testing.assert_close(again.scalings(drawn[0]), process.scalings(drawn[0]))
    assert (again.sigma_min, again.sigma_max) == (process.sigma_min, process.sigma_max)


def test_training_noise_has_the_stated_distribution():
    def quantiles(noise, to_uniform):
        place = to_uniform(noise.draw(20_000, torch.Generator().manual_seed(0)).double())
        return torch.quantile(place.double(), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64))

    even = torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=torch.float64)
    close = {"atol": 0.02, "rtol": 0}
    torch.testing.assert_close(quantiles(VP(), lambda s: vp_time(s, 19.9, 0.1)), even, **close)
    torch.testing.assert_close(quantiles(VE(), lambda s: torch.log(s / 0.02) / math.log(5000)), even, **close)
    torch.testing.assert_close(quantiles(Flow(), lambda s: s / (1 + s)), even, **close)
    levels = iddpm_sigmas().double()
    torch.testing.assert_close(quantiles(IDDPM(), lambda s: torch.searchsorted(-levels, -s) / 1000), even, **close)
    logit_normal = torch.sigmoid(torch.randn(20_000, generator=torch.Generator().manual_seed(0)))
    drawn = LogNormal(0.0, 1.0).draw(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn / (1 + drawn), logit_normal)


def test_sampling_grids_descend_from_the_highest_level():
    for process in (VP(), VE(), IDDPM(), Flow()):
        for steps in (1, 2, 18, 40):
            grid = process.sampling_sigmas(steps)
            assert grid.dtype == torch.float64 and len(grid) == steps
            assert (grid.diff() < 0).all() and grid[-1] >= process.sigma_min
            top = 81 if isinstance(process, IDDPM) else process.sigma_max
            assert grid[0].item() == pytest.approx(top, rel=0.02)
            torch.testing.assert_close(process.round_sigma(grid), grid)
    np.testing.assert_allclose(VE().sampling_sigmas(3).numpy(), [100, math.sqrt(2), 0.02], rtol=1e-12)
    assert IDDPM().sampling_sigmas(18)[-1].item() == pytest.approx(IDDPM().sigma_min)


def test_bad_arguments_say_what_was_expected():
    with pytest.raises(ValueError, match=r"0 < epsilon_t < 1, not beta_d=19.9, beta_min=0.1, timesteps=1000"):
        VP(epsilon_t=2)
    with pytest.raises(ValueError, match="0 < sigma_min < sigma_max, not 3 and 1"):
        VE(3, 1)
    with pytest.raises(ValueError, match=r"0 < t_min < t_max < 1, not 0.1 and 1.0"):
        Flow(0.1, 1.0)
    with pytest.raises(ValueError, match="timesteps must be from 1 to 100000"):
        IDDPM(0)
    with pytest.raises(ValueError, match="prediction must be one of noise, velocity, signal, not 'v'"):
        DDPM(prediction="v")
    with pytest.raises(ValueError, match="steps_offset 0 or more, not 'even' and 1"):
        LDM(spacing="even")


LOSSES = {
    "amplitude_phase": FourierAmplitudePhaseLoss(reduction="none"),
    "wavelet": WaveletLoss(reduction="none", levels=2),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", SHAPES, ids=["1d", "2d"])
@pytest.mark.parametrize("process", PROCESSES)
def test_the_same_regularizer_works_in_every_process(process, shape, loss):
    regularizer = Regularizer(LOSSES[loss], 0.1, InverseSigmaGate(), balance="gradient")
    distance = "l1" if process == "diffwave" else "l2"
    overrides = [f"process={process}", f"objective.distance={distance}", "run_dir=x", "data.train=y"]
    experiment = read(Experiment, plain(compose("train", overrides))).with_auto(0.5)
    made = experiment.process.build()
    objective = experiment.objective.build(made, experiment.process.noise, {})
    objective.regularizers["spectral"] = regularizer
    torch.manual_seed(0)
    if process == "diffwave" and len(shape) == 3:
        network = DiffWaveNetwork(residual_channels=8, residual_layers=2, unconditional=True)
    else:
        small = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": ()}
        network = UNet(len(shape) - 2, shape[1], **small)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    denoiser = Denoiser(network, made)
    x0 = torch.randn(shape).clamp(-1, 1)
    draw = objective.draw(shape, torch.Generator().manual_seed(1))
    terms = objective(denoiser, x0, draw=draw)

    sigma = draw.sigma.reshape(-1, *[1] * (len(shape) - 1))
    x0_hat = denoiser(x0 + sigma * draw.noise, draw.sigma)
    torch.testing.assert_close(terms.parts["spectral"], LOSSES[loss](x0_hat, x0).detach())
    weight, error = objective.weighting(draw.sigma), (x0_hat - x0).flatten(1)
    expected = weight.sqrt() * error.abs().mean(1) if distance == "l1" else weight * error.square().mean(1)
    torch.testing.assert_close(terms.parts["denoising"], expected.detach())
    torch.testing.assert_close(terms.total, terms.parts["denoising"] + terms.parts["spectral_weighted"])
    assert terms.grad_shares["spectral"].item() == pytest.approx(0.1, rel=1e-3)  # balanced at every scale of weights

    terms.total.mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)
