"""Latent diffusion's noise levels and sampler against CompVis's values."""

import numpy as np
import pytest
import torch

from mmspec.diffusion.guidance import Guided
from mmspec.diffusion.processes import LDM
from mmspec.diffusion.processes.ddpm import ddpm_betas, ddpm_sigmas
from mmspec.diffusion.samplers import DDIM, ConditionedDenoiser
from mmspec.diffusion.sampling import sample

SCHEDULES = {
    "ldm_linear_0.0015_0.0195": ("scaled_linear", 0.0015, 0.0195),
    "ldm_churches_linear_0.0015_0.0155": ("scaled_linear", 0.0015, 0.0155),
    "sd_linear_0.00085_0.012": ("scaled_linear", 0.00085, 0.012),
    "sqrt_linear_1e-4_2e-2": ("linear", 1e-4, 2e-2),
    "cosine_s0.008": ("cosine", 1e-4, 2e-2),
}


@pytest.fixture(scope="module")
def golden(references):
    return lambda name: references.tensors(f"ldm/{name}")


@pytest.mark.parametrize("name", SCHEDULES)
def test_betas(golden, name):
    schedule, low, high = SCHEDULES[name]
    values = golden("schedules")
    betas = ddpm_betas(schedule, 1000, low, high)
    torch.testing.assert_close(betas, values[f"{name}/betas"], rtol=1e-9, atol=0)
    alpha_bar = 1 / (1 + ddpm_sigmas(schedule, 1000, low, high) ** 2)
    torch.testing.assert_close(alpha_bar, values[f"{name}/alphas_cumprod"], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["ldm_linear_0.0015_0.0195", "sd_linear_0.00085_0.012"])
@pytest.mark.parametrize("steps", [20, 50, 200])
def test_sampling_grid(golden, name, steps):
    _, low, high = SCHEDULES[name]
    values, process = golden("schedules"), LDM(beta_min=low, beta_max=high)
    visited = process.nearest(process.sampling_sigmas(steps)).flip(0)
    assert torch.equal(visited, values[f"{name}/ddim_uniform_{steps}/timesteps"])
    eta = values[f"{name}/ddim_uniform_{steps}/eta1/sigmas_f64"]  # in steps up: from a to a_prev
    a, a_prev = (values[f"{name}/ddim_uniform_{steps}/{key}_f64"] for key in ("alphas", "alphas_prev"))
    sigma, below = ((1 / alpha - 1).sqrt() for alpha in (a, a_prev))
    ours = below * (1 - (below / sigma) ** 2).sqrt() * a_prev.sqrt()
    torch.testing.assert_close(ours, eta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 7, 37, 300, 333, 501, 999, 1000])
def test_any_number_of_steps_is_visited_where_the_original_has_none(steps):
    levels = LDM().sampling_sigmas(steps)
    assert len(levels) == steps and (levels.diff() < 0).all() and levels[-1] <= LDM().sigmas[1]


def test_timesteps_of_each_spacing():
    """Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", Table 2, T = 1000, 10 steps."""
    expected = {
        ("leading", 0): [900, 800, 700, 600, 500, 400, 300, 200, 100, 0],
        ("leading", 1): [901, 801, 701, 601, 501, 401, 301, 201, 101, 1],
        ("trailing", 1): [999, 899, 799, 699, 599, 499, 399, 299, 199, 99],
        ("linspace", 1): [999, 888, 777, 666, 555, 444, 333, 222, 111, 0],
    }
    for (spacing, offset), timesteps in expected.items():
        process = LDM(spacing=spacing, steps_offset=offset)
        assert process.nearest(process.sampling_sigmas(10)).tolist() == timesteps
        for steps in (1, 7, 30, 501, 1000):
            levels = process.sampling_sigmas(steps)
            assert len(levels) == steps and (levels.diff() < 0).all()


@pytest.mark.parametrize("ends_clean", [True, False])
def test_ddim_ends_where_the_model_is_sampled_to(ends_clean):
    """Song et al. 2021, Eq. 12, in abar, down to abar = 1 or to the highest abar of the table."""
    process, table = LDM(ends_clean=ends_clean), 1 / (1 + LDM().sigmas.double() ** 2)

    class Exact(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.process, self.round_sigma = process, process.round_sigma

        def forward(self, x, sigma):
            return 0.25 * x / (0.25 + sigma[:, None, None] ** 2)

    noise = torch.randn(2, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    timesteps = list(range(901, 0, -100))
    ends = [*table[timesteps[1:]], table.new_tensor(1.0) if ends_clean else table[0]]
    x = noise
    for a, a_next in zip(table[timesteps], ends, strict=True):
        x0 = 0.25 * x / a.sqrt() / (0.25 + 1 / a - 1)
        x = a_next.sqrt() * x0 + (1 - a_next).sqrt() * (x - a.sqrt() * x0) / (1 - a).sqrt()
    torch.testing.assert_close(sample(Exact(), noise, sampler="ddim", steps=10), x, rtol=1e-9, atol=1e-12)


class Gaussian:
    """The exact denoiser of normally distributed data, in float64."""

    def __init__(self, mean, deviation):
        self.mean, self.deviation = mean, deviation

    def __call__(self, x, sigma, labels=None):
        variance, level = self.deviation**2, sigma[:, None, None, None] ** 2
        mean = self.mean if labels is None else self.mean + labels[:, :, None, None]
        return (variance * x + level * mean) / (variance + level)


def walk(denoiser, sigmas, noise, x_T, eta, **cond):
    """DDIM to the lowest level of the table, as CompVis's stops there: all x and predictions, variance preserved."""
    xs, predictions, draws = [x_T], [], iter(noise)

    def told(step, x, denoised):
        xs.append(x / np.hypot(1, sigmas[step + 1]))
        predictions.append(denoised)

    start = x_T * np.hypot(1, sigmas[0])
    DDIM(eta)(ConditionedDenoiser(denoiser, cond), start, sigmas, lambda: next(draws), told)
    return torch.stack(xs), torch.stack(predictions)


def grid(schedule, steps):
    sigmas = ddpm_sigmas(*schedule[:1], 1000, *schedule[1:])
    process = LDM(*schedule[:1], 1000, *schedule[1:])
    return [*sigmas[process.nearest(process.sampling_sigmas(steps))].tolist(), sigmas[0].item()]


@pytest.mark.parametrize("name", ["ldm_linear_0.0015_0.0195", "sd_linear_0.00085_0.012"])
@pytest.mark.parametrize("steps", [50, 200])
@pytest.mark.parametrize("eta", [0, 1])
def test_trajectories_of_an_exact_denoiser(golden, name, steps, eta):
    values, case = golden("ddim_toy"), f"{name}/S{steps}/eta{eta}"
    denoiser = Gaussian(values["mu"], values["s"])
    sigmas = grid(SCHEDULES[name], steps)
    x, predictions = walk(denoiser, sigmas, values[f"{case}/noise"], values["x_T"], eta)
    torch.testing.assert_close(x, values[f"{case}/x_f64"], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(predictions, values[f"{case}/pred_x0_f64"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 3.0, 7.5])
def test_trajectories_with_guidance(golden, scale):
    values = golden("ddim_cfg_toy")

    class Conditional(Gaussian):
        def __call__(self, x, sigma, labels):
            conditional = labels.sum(1, keepdim=True)  # a row of zeros is unconditional
            cond, uncond = (values[key].double().repeat(len(x) // 2, 1, 1, 1) for key in ("cond", "uncond"))
            shift = torch.where(conditional[..., None, None] > 0, cond, uncond)[..., 0, 0]
            return super().__call__(x, sigma, shift)

    denoiser = Guided(Conditional(values["mu"], values["s"]), scale)
    noise = values["temperature"] * values["noise"].double()
    sigmas = grid(SCHEDULES["ldm_linear_0.0015_0.0195"], 20)
    x, predictions = walk(denoiser, sigmas, noise, values["x_T"], float(values["eta"]), labels=torch.eye(2).double())
    torch.testing.assert_close(x, values[f"s{scale}/x"].double(), rtol=1e-4, atol=1e-5)  # the original is float32
    torch.testing.assert_close(predictions[-1], values[f"s{scale}/pred_x0"][-1].double(), rtol=1e-4, atol=1e-5)


def test_sampling_starts_from_unit_variance():
    class Zero(torch.nn.Module):
        process = LDM()

        def forward(self, x, sigma):
            seen.append(x)
            return torch.zeros_like(x)

    seen, noise = [], torch.randn(2, 3, 4, 4, dtype=torch.float64)
    sample(Zero(), noise, sampler="ddim", steps=10)
    top = LDM().sampling_sigmas(10)[0].item()
    torch.testing.assert_close(seen[0], noise * np.hypot(1, top))
