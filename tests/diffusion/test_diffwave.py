"""DiffWave in mmspec's terms: LMNT's training loss and inference loop are those of one more denoiser."""

import numpy as np
import pytest
import torch

from mmspec.diffusion import Denoiser, Objective, sample
from mmspec.diffusion.processes import DiffWave
from mmspec.diffusion.processes.ddpm import ddpm_betas, ddpm_sigmas
from mmspec.diffusion.samplers import DDPM
from mmspec.losses import FourierAmplitudePhaseLoss
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.weighting import InverseSigmaGate
from mmspec.networks import DiffWave as DiffWaveNetwork

TABLE = {"schedule": "linear", "timesteps": 50, "beta_min": 1e-4, "beta_max": 0.05}
STEPS = {"fast": 6, "full": 50}


@pytest.fixture(scope="module")
def denoiser(references):
    network = DiffWaveNetwork(residual_channels=8, residual_layers=4, dilation_cycle_length=3)
    network.load_state_dict(references.weights("lmnt/tiny"))
    return Denoiser(network, DiffWave(), (1, 768), 22050)


@pytest.fixture(scope="module")
def golden(references):
    return references.arrays("lmnt/predict_tiny")


class Replayed:
    """A sampler with recorded noise."""

    def __init__(self, sampler, noise):
        self.sampler, self.noise = sampler, noise

    def __call__(self, denoise, x, sigmas, draw, on_step):
        recorded = iter([*self.noise.double()[:, :, None], torch.zeros_like(x)])  # the last step adds none
        return self.sampler(denoise, x, sigmas, lambda: next(recorded), on_step)


@pytest.mark.parametrize("rank", ["", "_rank2"])
@pytest.mark.parametrize("schedule", STEPS)
def test_sampling_is_lmnts_inference_loop(denoiser, golden, schedule, rank):
    noise = torch.from_numpy(golden[f"{schedule}/noise_init{rank}"])[:, None]
    spectrogram = torch.from_numpy(golden["spectrogram"])[: len(noise)]
    sampler = Replayed(DDPM(clip=True), torch.from_numpy(golden[f"{schedule}/noise_steps{rank}"]))
    audio = sample(denoiser, noise, sampler=sampler, steps=STEPS[schedule], spectrogram=spectrogram)
    expected = golden[f"{schedule}/audio{rank}"]
    np.testing.assert_allclose(audio[:, 0].numpy(), expected, atol=2e-5)
    assert np.abs(expected).max() == 1  # so that clipping mattered


@pytest.mark.parametrize("schedule", STEPS)
def test_the_network_sees_lmnts_steps(golden, schedule):
    process = DiffWave()
    steps = process.timestep(process.sampling_sigmas(STEPS[schedule]).float())
    np.testing.assert_allclose(steps.numpy(), golden[f"{schedule}/T_in_call_order"], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_of_the_table_are_whole_steps_and_others_lie_between_them(dtype):
    process = DiffWave()
    table = ddpm_sigmas(**TABLE).float().to(dtype)
    assert torch.equal(process.timestep(table), torch.arange(50, dtype=dtype))
    between = process.timestep((table[1:] + table[:-1]) / 2)
    assert torch.equal(between.floor(), torch.arange(49, dtype=dtype))
    outside = torch.tensor([1e-6, 50.0], dtype=dtype)
    assert process.timestep(outside).tolist() == [0, 49]
    torch.testing.assert_close(process.round_sigma(outside), table[[0, -1]])


def test_betas_may_be_given_one_by_one():
    betas = ddpm_betas(**TABLE).tolist()
    torch.testing.assert_close(DiffWave(betas).sigmas, DiffWave().sigmas)
    assert DiffWave(betas).draw(1000, torch.Generator().manual_seed(0)).unique().numel() == 50
    for wrong in ([], [0.5, 1.0], [0.0, 0.1]):
        with pytest.raises(ValueError, match="betas must lie between 0 and 1"):
            ddpm_sigmas(wrong)
    with pytest.raises(ValueError, match="two or more"):
        DiffWave(timesteps=1)


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, 1, 512, generator=generator) * 2 - 1, torch.rand(6, 80, 2, generator=generator)


def test_the_objective_is_lmnts_training_loss(denoiser):
    x0, spectrogram = batch()
    objective = Objective(DiffWave(**TABLE), "l1")
    draw = objective.draw(x0.shape, torch.Generator().manual_seed(7))
    terms = objective(denoiser, x0, draw=draw, spectrogram=spectrogram)

    generator = torch.Generator().manual_seed(7)  # LMNT draws the step, then the noise
    step = torch.randint(50, (6,), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    level = torch.cumprod(1 - torch.linspace(1e-4, 0.05, 50, dtype=torch.float64), 0).float()[step][:, None, None]
    predicted = denoiser.network(level.sqrt() * x0 + (1 - level).sqrt() * noise, step, spectrogram)
    torch.testing.assert_close(terms.total, (predicted - noise).abs().flatten(1).mean(1), rtol=1e-4, atol=1e-6)


def test_a_regularizer_joins_diffwaves_objective(denoiser):
    x0, spectrogram = batch()
    term = Regularizer(FourierAmplitudePhaseLoss(reduction="none"), 0.1, InverseSigmaGate(), balance="gradient")
    objective = Objective(DiffWave(**TABLE), "l1", {"amplitude_phase": term})
    denoiser.zero_grad()
    terms = objective(denoiser, x0, draw=objective.draw(x0.shape), spectrogram=spectrogram)
    terms.total.mean().backward()
    torch.testing.assert_close(terms.total, terms.parts["denoising"] + terms.parts["amplitude_phase_weighted"])
    assert terms.grad_shares["amplitude_phase"].item() == pytest.approx(0.1, rel=1e-3)
    gradients = [parameter.grad for parameter in denoiser.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert denoiser.network.spectrogram_upsampler.conv1.weight.grad.any()


@pytest.mark.parametrize("name", ["ddpm", "ddim", "euler", "heun", "dpmpp_2m", "unipc"])
def test_every_sampler_takes_it(denoiser, golden, name):
    spectrogram = torch.from_numpy(golden["spectrogram"])
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    audio = sample(denoiser, (2, 1, 768), sampler=name, steps=3, generator=generators, spectrogram=spectrogram)
    assert audio.shape == (2, 1, 768) and torch.isfinite(audio).all()
