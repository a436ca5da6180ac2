import numpy as np
import pytest
import torch

from mmspec.diffusion.processes import DDPM, EDM
from mmspec.diffusion.processes.ddpm import ddpm_sigmas
from mmspec.diffusion.processes.process import karras_sigmas


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edm_gives_the_network_unit_variance_in_and_out(dtype):
    sigma = torch.tensor([0.002, 0.5, 1.25, 80.0], dtype=dtype)
    sd = 0.7
    c_skip, c_out, c_in, c_noise = EDM(sd).scalings(sigma)
    s = sigma.double().numpy()
    np.testing.assert_allclose(c_in.numpy() ** 2 * (sd**2 + s**2), 1, rtol=1e-5)
    # The target of the network, (x0 - c_skip x) / c_out, has variance 1 (Karras et al. 2022, Eq. 116-131).
    skip, out = c_skip.double().numpy(), c_out.double().numpy()
    np.testing.assert_allclose(((1 - skip) ** 2 * sd**2 + skip**2 * s**2) / out**2, 1, rtol=1e-3)
    np.testing.assert_allclose(c_noise.numpy(), np.log(s) / 4, rtol=1e-5, atol=1e-6)


def test_the_linear_schedule_is_that_of_ho_et_al():
    betas = np.linspace(1e-4, 0.02, 1000)
    abar = np.cumprod(1 - betas)
    np.testing.assert_allclose(ddpm_sigmas().numpy(), np.sqrt((1 - abar) / abar), rtol=1e-10)
    assert abar[-1] == pytest.approx(4.036e-5, rel=1e-3)


def test_the_cosine_schedule_follows_its_closed_form_until_betas_are_clipped():
    t = np.arange(1, 401) / 400
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    sigmas = ddpm_sigmas("cosine", 400).numpy()
    np.testing.assert_allclose(sigmas[:-2], np.sqrt((1 - f) / f)[:-2], rtol=1e-8)
    assert np.isfinite(sigmas).all()


def test_ddpm_turns_predicted_noise_into_the_clean_signal():
    process = DDPM()
    t = torch.tensor([0, 400, 999])
    sigma = process.sigmas[t]
    abar = 1 / (1 + sigma**2)
    x0, noise = torch.randn(3), torch.randn(3)
    c_skip, c_out, c_in, c_noise = process.scalings(sigma)
    x = x0 + sigma * noise
    torch.testing.assert_close(c_in * x, abar.sqrt() * x0 + (1 - abar).sqrt() * noise)
    torch.testing.assert_close(c_skip * x + c_out * noise, x0, rtol=1e-4, atol=1e-4)
    assert c_noise.tolist() == t.tolist()


def test_ddpm_rounds_to_the_nearest_level_of_its_table():
    process = DDPM(timesteps=50)
    sigma = torch.linspace(0.0, 1.2 * process.sigma_max, 301, dtype=torch.float64)
    table = process.sigmas.double()
    nearest = table[(sigma[:, None] - table).abs().argmin(1)]
    torch.testing.assert_close(process.round_sigma(sigma), nearest)
    torch.testing.assert_close(process.round_sigma(process.sigmas), process.sigmas)


def test_sampling_grids_descend_from_the_highest_level_to_the_lowest():
    for process in (EDM(), DDPM()):
        for steps in (1, 2, 18):
            grid = process.sampling_sigmas(steps)
            assert grid.dtype == torch.float64 and len(grid) == steps
            assert grid[0].item() == pytest.approx(process.sigma_max)
            assert (grid.diff() < 0).all()
            if steps > 1:
                assert grid[-1].item() == pytest.approx(process.sigma_min)
    i = np.arange(18)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(karras_sigmas(18, 0.002, 80).numpy(), expected, rtol=1e-12)


def test_bad_arguments_say_what_was_expected():
    with pytest.raises(ValueError, match="0 < sigma_min < sigma_max"):
        EDM(sigma_min=3, sigma_max=1)
    with pytest.raises(ValueError, match="one of linear, scaled_linear, cosine, not 'quadratic'"):
        DDPM("quadratic")
