"""Step distillation against exact denoisers: a student that meets its target walks where its teacher does."""

import copy
from itertools import pairwise

import pytest
import torch

from mmspec.diffusion import Denoiser, Objective, StepDistillationObjective, sample
from mmspec.diffusion.latent import LatentSpace
from mmspec.diffusion.processes import DDPM, EDM
from mmspec.diffusion.step_distillation import in_one_step
from mmspec.errors import InputError
from mmspec.losses.weighting import TruncatedSNRWeight
from mmspec.networks import UNet
from tests.oracles import Gaussian, TwoPoints


def fine_levels(levels, substeps):
    """A sampler's levels with so many steps for each of its own."""
    fine = []
    for a, b in pairwise([*levels, 0.0]):
        fine += [(a ** (1 / 7) + i / substeps * (b ** (1 / 7) - a ** (1 / 7))) ** 7 for i in range(substeps)]
    return fine


@pytest.mark.parametrize("shape", [(5, 2, 7), (5, 1, 3, 4)], ids=str)
@pytest.mark.parametrize(("steps", "substeps"), [(1, 4), (3, 2), (4, 5)])
def test_who_meets_the_target_walks_in_one_step_where_the_teacher_does_in_several(shape, steps, substeps):
    teacher = TwoPoints()
    levels = EDM(0.5).sampling_sigmas(steps).tolist()
    after = dict(pairwise([*levels, 0.0]))

    def student(x, sigma):
        return in_one_step(teacher, x, sigma, sigma.new_tensor([after[s.item()] for s in sigma]), substeps)

    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few = sample(student, noise, sampler="euler", sigmas=levels)
    many = sample(teacher, noise, sampler="euler", sigmas=fine_levels(levels, substeps))
    torch.testing.assert_close(few, many, rtol=1e-9, atol=1e-12)


def test_of_a_gaussian_the_target_is_known_in_closed_form():
    sigma, below = torch.tensor([2.0, 80.0], dtype=torch.float64), torch.tensor([0.5, 0.0], dtype=torch.float64)
    x = torch.randn(2, 1, 9, dtype=torch.float64)
    # Exactly, sqrt(sd^2 + sigma^2) scales x along the walk: a sum over many steps comes close to it.
    scale = ((0.25 + below**2) / (0.25 + sigma**2)).sqrt()
    expected = x * ((scale - below / sigma) / (1 - below / sigma))[:, None, None]
    target = in_one_step(Gaussian(0.5), x, sigma, below, substeps=4000)
    torch.testing.assert_close(target, expected, rtol=2e-3, atol=1e-4)


def denoisers(process=EDM, **options):
    torch.manual_seed(0)
    network = UNet(1, 1, model_channels=8, channel_mult=(1, 2), num_blocks=1, attention_levels=(), **options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    teacher = Denoiser(network, process(), (1, 16))
    return teacher, copy.deepcopy(teacher)


def test_one_substep_asks_for_the_teachers_own_prediction():
    teacher, student = denoisers()
    objective = StepDistillationObjective(Objective(EDM()), teacher, student, steps=4, substeps=1)
    terms = objective(student, torch.randn(8, 1, 16))
    torch.testing.assert_close(terms.total, torch.zeros(8), atol=1e-9, rtol=0)


@pytest.mark.parametrize("process", [EDM, DDPM])
def test_noise_levels_are_those_of_the_students_sampler(process):
    teacher, student = denoisers(process)
    objective = StepDistillationObjective(Objective(EDM()), teacher, student, steps=3)
    drawn = objective.draw((3000, 1, 1), torch.Generator().manual_seed(0)).sigma
    levels, counts = drawn.unique(return_counts=True)
    seen = []
    sample(lambda x, sigma: (seen.append(sigma[0].item()), x)[1], (1, 1, 4), sampler="euler",
           sigmas=student.round_sigma(student.process.sampling_sigmas(3)))  # fmt: skip
    torch.testing.assert_close(levels.flip(0).double(), torch.tensor(seen).double())
    assert (counts / 3000 - 1 / 3).abs().max() < 0.03
    assert torch.isfinite(objective(student, torch.randn(6, 1, 16)).total).all()


class Exact(Denoiser):
    """The denoiser of two points, exactly."""

    def forward(self, x, sigma, **cond):
        return TwoPoints()(x, torch.as_tensor(sigma).expand(len(x)))


class Points(torch.nn.Module):
    """A small network of single numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(2, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, 1)
        )

    def forward(self, x, c_noise):
        return self.layers(torch.stack([x[:, 0, 0], c_noise], 1))[:, :, None]


def test_a_trained_student_walks_closer_to_the_end_than_its_teacher_in_as_few_steps():
    torch.manual_seed(0)
    teacher, student = (made(Points(), EDM(0.5), (1, 1)) for made in (Exact, Denoiser))
    objective = StepDistillationObjective(Objective(EDM(0.5)), teacher, student, steps=2, substeps=16)
    optimizer = torch.optim.Adam(student.parameters(), lr=5e-3)
    for _ in range(400):
        x0 = torch.randn(256, 1, 1).sign() * 0.5 + 0.2 * torch.randn(256, 1, 1)
        optimizer.zero_grad()
        objective(student, x0).total.mean().backward()
        optimizer.step()
    noise = torch.randn(2000, 1, 1)
    end = sample(teacher, noise, sampler="euler", steps=200)
    errors = [(sample(d, noise, sampler="euler", steps=2) - end).abs().mean() for d in (student, teacher)]
    assert errors[0] < 0.5 * errors[1]


def test_gradients_reach_the_student_alone():
    teacher, student = denoisers()
    objective = StepDistillationObjective(Objective(EDM()), teacher, student, steps=2)
    objective(student, torch.randn(4, 1, 16)).total.mean().backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(parameter.requires_grad for parameter in objective.parameters())


def test_truncated_snr_counts_the_signal_where_there_is_none():
    sigma = torch.tensor([0.1, 1.0, 10.0])
    torch.testing.assert_close(TruncatedSNRWeight()(sigma), torch.tensor([100.0, 1.0, 1.0]))


def test_bad_arguments_say_what_was_expected():
    teacher, student = denoisers()
    with pytest.raises(ValueError, match="steps and substeps must be 1 or more, not 0 and 2"):
        StepDistillationObjective(Objective(EDM()), teacher, student, steps=0)
    student.latent = LatentSpace((1, 8))
    with pytest.raises(InputError, match=r"the teacher has signals of shape \(1, 16\), the student \(1, 8\)"):
        StepDistillationObjective(Objective(EDM()), teacher, student, steps=1)
