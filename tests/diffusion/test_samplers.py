import math

import numpy as np
import pytest
import torch

from mmspec.components import choices
from mmspec.diffusion import sample, seeded
from mmspec.diffusion.processes import DDPM as DDPMProcess
from mmspec.diffusion.processes.process import karras_sigmas
from mmspec.diffusion.samplers import DDIM, DDPM, ConditionedDenoiser, Heun, Sampler, UniPC
from tests.oracles import Gaussian, TwoPoints

SHAPES = [(3, 1, 33), (3, 2, 5, 7)]


def exact_scale(sigma_max: float, sd: float = 0.5) -> float:
    """What the probability flow of ``N(0, sd^2)`` signals does to x from sigma_max to 0."""
    return sd / math.sqrt(sd**2 + sigma_max**2)


@pytest.mark.parametrize("name", choices(Sampler))
@pytest.mark.parametrize("shape", SHAPES)
def test_one_step_is_the_prediction_at_the_highest_noise(name, shape):
    noise = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = sample(Gaussian(), noise, sampler=name, sigmas=[80.0], generator=torch.Generator().manual_seed(1))
    expected = Gaussian()(80 * noise, torch.full(shape[:1], 80.0, dtype=torch.float64))
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("ddim", 1), ("heun", 2), ("dpmpp_2m", 2), ("unipc", 3)])
def test_deterministic_samplers_converge_to_the_closed_form_at_their_order(name, order):
    noise = torch.randn(4, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = 10 * noise * exact_scale(10)

    def error(steps: int) -> float:
        sigmas = karras_sigmas(steps, 0.002, 10)
        return (sample(Gaussian(), noise, sampler=name, sigmas=sigmas) - exact).abs().max().item()

    measured = math.log2(error(40) / error(80))
    assert error(80) < 0.05
    assert measured > order - 0.35


LEVELS = [157.407272, 48.16684, 17.246983, 7.18614, 3.442967, 1.801236, 0.958034, 0.429943]  # of diffusers, 8 steps
ENDS = {  # of its UniPCMultistepScheduler 0.42.1 with TwoPoints, from -1 to 1 in five times the highest level
    1: [-0.485297, -0.3186836, 0.0, 0.3186836, 0.485297],
    2: [-0.5022775, -0.3386539, 0.0, 0.3386539, 0.5022775],
    3: [-0.5028237, -0.339386, 0.0, 0.339386, 0.5028237],
}


@pytest.mark.parametrize("order", ENDS)
def test_unipc_ends_where_that_of_diffusers_does(order):
    noise = torch.linspace(-1, 1, 5, dtype=torch.float64).reshape(1, 1, 5)
    out = sample(TwoPoints(), noise, sampler=UniPC(order), sigmas=LEVELS)
    np.testing.assert_allclose(out.flatten(), ENDS[order], atol=2e-6)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("order", ENDS)
def test_unipc_is_that_of_diffusers_where_it_is_installed(order, steps):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (the extra diffusers)")
    scheduler = diffusers.UniPCMultistepScheduler(
        solver_order=order, prediction_type="sample", final_sigmas_type="zero"
    )
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas[:-1].double()
    scale = 1 / (1 + sigmas**2).sqrt()
    noise = torch.randn(2, 1, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = noise * sigmas[0] * scale[0]
    for alpha, sigma, timestep in zip(scale, sigmas, scheduler.timesteps, strict=True):
        x = scheduler.step(TwoPoints()(x / alpha, sigma.expand(2)), timestep, x).prev_sample
    torch.testing.assert_close(sample(TwoPoints(), noise, sampler=UniPC(order), sigmas=sigmas), x, atol=1e-6, rtol=0)


def test_unipc_errs_less_than_heun_for_equally_many_calls():
    noise = torch.randn(4, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def error(sampler: str, steps: int) -> float:
        out = sample(Gaussian(), noise, sampler=sampler, sigmas=karras_sigmas(steps, 0.002, 10))
        return (out - 10 * noise * exact_scale(10)).abs().max().item()

    for steps in (5, 10, 20):
        assert error("unipc", 2 * steps - 1) < error("heun", steps) / 5
    with pytest.raises(ValueError, match="order must be 1, 2 or 3, not 4"):
        UniPC(4)


def test_ancestral_sampling_reaches_the_variance_of_the_data():
    out = sample(
        Gaussian(0.5),
        (4000, 1, 1),
        sampler="ddpm",
        sigmas=karras_sigmas(500, 0.002, 20),
        generator=torch.Generator().manual_seed(0),
    )
    assert out.std().item() == pytest.approx(0.5, abs=0.02)
    assert out.mean().item() == pytest.approx(0, abs=0.03)


def test_a_step_of_ancestral_sampling_is_the_posterior_of_ddpm():
    process = DDPMProcess()
    sigmas = process.sigmas.double()
    abar = 1 / (1 + sigmas**2)
    t, x0_hat = 600, 0.3
    beta = 1 - abar[t] / abar[t - 1]
    x_t, noise = torch.tensor(1.7, dtype=torch.float64), torch.tensor(-0.4, dtype=torch.float64)
    mean = (abar[t - 1].sqrt() * beta * x0_hat + (1 - beta).sqrt() * (1 - abar[t - 1]) * x_t) / (1 - abar[t])
    variance = (1 - abar[t - 1]) / (1 - abar[t]) * beta

    denoise = ConditionedDenoiser(lambda x, sigma: torch.full_like(x, x0_hat), {})
    start = (x_t / abar[t].sqrt()).reshape(1, 1, 1)
    levels = [sigmas[t].item(), sigmas[t - 1].item()]
    out = DDPM()(denoise, start, levels, lambda: noise.reshape(1, 1, 1), lambda *_: None)
    assert (out * abar[t - 1].sqrt()).item() == pytest.approx((mean + variance.sqrt() * noise).item(), abs=1e-6)


def test_ddim_without_noise_is_euler_and_with_all_of_it_ddpm():
    noise = torch.randn(2, 1, 8, dtype=torch.float64)
    sigmas = karras_sigmas(7, 0.01, 10)

    def run(sampler):
        return sample(TwoPoints(), noise, sampler=sampler, sigmas=sigmas, generator=torch.Generator().manual_seed(3))

    torch.testing.assert_close(run(DDIM(0.0)), run("euler"))
    torch.testing.assert_close(run(DDIM(1.0)), run("ddpm"))


@pytest.mark.parametrize("name", choices(Sampler))
def test_a_sample_depends_on_its_seed_and_not_on_its_batch(name):
    sampler = Heun(churn=20) if name == "Heun" else name
    sigmas = karras_sigmas(6, 0.01, 10)

    def run(seeds):
        return sample(TwoPoints(), (len(seeds), 1, 9), sampler=sampler, sigmas=sigmas, generator=seeded(seeds))

    torch.testing.assert_close(torch.cat([run([0, 1]), run([2])]), run([0, 1, 2]))


def test_guidance_moves_from_unconditional_to_conditional_and_beyond():
    labels = torch.tensor([[0.0, 1.0]])
    noise = torch.randn(1, 1, 5, dtype=torch.float64)
    sigmas = [5.0]
    plain = sample(Gaussian(), noise, sigmas=sigmas, labels=torch.zeros(1, 2))
    conditional = sample(Gaussian(), noise, sigmas=sigmas, labels=labels)
    for scale in (0.0, 1.0, 3.0):
        guided = sample(Gaussian(), noise, sigmas=sigmas, labels=labels, guidance=scale)
        torch.testing.assert_close(guided, plain + scale * (conditional - plain))


def test_callback_sees_every_step_and_bad_calls_say_what_is_wrong():
    seen = []
    sample(Gaussian(), (1, 1, 4), sigmas=[2.0, 1.0, 0.5], callback=lambda i, x, denoised: seen.append(i))
    assert seen == [0, 1, 2]
    with pytest.raises(ValueError, match=r"sampler=huen is unknown: did you mean Heun\?"):
        sample(Gaussian(), (1, 1, 4), sampler="huen", sigmas=[1.0])
    with pytest.raises(ValueError, match="give sigmas="):
        sample(Gaussian(), (1, 1, 4))
    with pytest.raises(ValueError, match="descending"):
        sample(Gaussian(), (1, 1, 4), sigmas=[1.0, 2.0])
    with pytest.raises(ValueError, match="2 generators for 3 samples"):
        sample(Gaussian(), (3, 1, 4), sigmas=[1.0], generator=seeded([0, 1]))
    with pytest.raises(TypeError, match="lables"):
        sample(Gaussian(), (1, 1, 4), sigmas=[1.0], lables=torch.zeros(1, 2))


class OnGrid:
    """A denoiser that knows only some noise levels."""

    def __init__(self, denoiser, grid):
        self.denoiser, self.grid = denoiser, torch.as_tensor(grid)

    def __call__(self, x, sigma):
        return self.denoiser(x, sigma)

    def round_sigma(self, sigma):
        return self.grid[(sigma[:, None] - self.grid).abs().argmin(1)]


def test_heun_walks_the_trajectories_of_the_original_edm_sampler(references):
    golden, cases = references.arrays("edm/sampler_edm"), references.facts("edm/sampler_edm")
    for name, case in cases.items():
        options = dict(case["kwargs"])
        low = max(options.get("sigma_min", 0.002), case["net_sigma_min"])
        high = min(options.get("sigma_max", 80), float(case["net_sigma_max"]))
        sigmas = karras_sigmas(options["num_steps"], low, high, options.get("rho", 7))
        exact = Gaussian(case["sd"]) if case["denoiser"] == "Gauss" else TwoPoints(case["sd"])
        denoiser = OnGrid(exact, np.geomspace(0.01, 60, 40)) if case["grid"] else exact
        calls, noises = [], iter(golden[f"{name}/noise"])

        def recorded(x, sigma, denoiser=denoiser, calls=calls):
            calls.append((x.numpy(), sigma[0].item()))
            return denoiser(x, sigma)

        if case["grid"]:
            recorded.round_sigma = denoiser.round_sigma
            sigmas = denoiser.round_sigma(sigmas)
        sampler = Heun(
            churn=options.get("S_churn", 0),
            churn_min=options.get("S_min", 0),
            churn_max=options.get("S_max", math.inf),
            churn_noise=options.get("S_noise", 1),
        )
        start = torch.from_numpy(golden["latents"]) * sigmas[0]
        levels = [*sigmas.tolist(), 0.0]
        draw = lambda noises=noises: torch.from_numpy(next(noises))  # noqa: E731
        out = sampler(ConditionedDenoiser(recorded, {}), start, levels, draw, lambda *_: None)
        np.testing.assert_allclose([sigma for _, sigma in calls], golden[f"{name}/call_sigma"], rtol=1e-9)
        np.testing.assert_allclose(np.stack([x for x, _ in calls]), golden[f"{name}/call_x"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(out.numpy(), golden[f"{name}/x_final"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_clipping_the_denoised_signal_keeps_it_in_range_and_changes_nothing_else(eta):
    def sampled(predicted, clip_denoised):
        start = torch.full((1, 1, 5), 30.0, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        sampler, sigmas = DDIM(eta, clip_denoised=clip_denoised), [20.0, 3.0, 0.5]
        return sample(lambda x, sigma: predicted, start, sampler=sampler, sigmas=sigmas, generator=generator)

    wild = torch.tensor([-7.0, -0.5, 0.0, 0.9, 2.0], dtype=torch.float64).expand(1, 1, 5)
    torch.testing.assert_close(sampled(wild, True), sampled(wild.clamp(-1, 1), False))
    assert not torch.equal(sampled(wild, True), sampled(wild, False))
