"""Step distillation: a student walks in a few steps where its teacher needs many."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from mmspec.diffusion.denoiser import Denoiser, expand_sigma
from mmspec.diffusion.distillation import Teacher, require_same_signals
from mmspec.diffusion.noise import NoiseDistribution
from mmspec.diffusion.objective import Draw, LossTerms, Objective, Squares

RHO = 7.0  # of the teacher's steps between two of the student's: Karras et al. 2022, Eq. 5


@dataclass(frozen=True)
class _Knots(NoiseDistribution):
    """One of a few noise levels, each as likely: those at which a sampler calls the denoiser.

    Args:
        sigmas: the levels.
    """

    sigmas: tuple[float, ...]

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Noise levels ``[count]``."""
        levels = torch.tensor(self.sigmas, device=device)
        return levels[torch.randint(len(self.sigmas), (count,), generator=generator, device=device)]


class StepDistillationObjective(nn.Module):
    """An objective whose clean signal is the one that takes the student in one step where its teacher gets in several.

    Progressive distillation (Salimans and Ho 2022, Algorithm 2) in sigma: from x at one noise level of the student's
    sampler, the teacher walks down to the next level by Euler's method (DDIM), and the student's target is the
    D(x; sigma) with which a single such step ends at the same place. The paper halves the number of steps again and
    again; here one round takes any number of the teacher's steps, so that the teacher is always the one that was
    trained on data.

    The weighting, the distance and the regularizers are those of the objective; a regularizer compares with the target,
    which is one signal and not a mean of many. The noise levels are the student's ``steps``. Sample the student with
    ``sampler="euler"`` and as many steps.

    Args:
        objective: how the error is weighed.
        teacher: a denoiser that knows all noise levels; it is put into evaluation mode and takes no gradients.
        student: the denoiser that will be trained; it does well to begin with the teacher's weights.
        steps: of the student's sampler.
        substeps: the teacher's for each of them.
        mixed_precision: of the teacher, "no" or "bf16".
        compile: torch.compile the teacher's network.

    Raises:
        InputError: if teacher and student are for different signals, classes, sample rates or conditioning.
        ValueError: for an option that is out of its range.
    """

    def __init__(
        self,
        objective: Objective,
        teacher: Denoiser,
        student: Denoiser,
        *,
        steps: int,
        substeps: int = 2,
        mixed_precision: str = "no",
        compile: bool = False,
    ) -> None:
        if steps < 1 or substeps < 1:
            raise ValueError(f"steps and substeps must be 1 or more, not {steps} and {substeps}.")
        require_same_signals(teacher, student)
        levels = student.round_sigma(student.process.sampling_sigmas(steps)).float()
        super().__init__()
        self.objective, self.knots = objective, _Knots(tuple(levels.tolist()))
        self.teacher = Teacher(teacher, [], mixed_precision, compile)
        self.substeps = substeps
        self.register_buffer("levels", torch.cat([levels.new_zeros(1), levels.sort().values]), persistent=False)

    levels: Tensor  # ascending, 0 the first

    def draw(
        self, shape: Sequence[int], generator: Generator | None = None, device: torch.device | None = None
    ) -> Draw:
        """The objective's draw, but for the noise levels, which are the student's."""
        return self.objective.draw(shape, generator, device, self.knots)

    @property
    def balanced(self) -> bool:
        """The objective's."""
        return self.objective.balanced

    def forward(
        self,
        denoiser: nn.Module,
        x0: Tensor,
        *,
        step: int | None = None,
        draw: Draw | None = None,
        squares: Squares | None = None,
        **cond: Tensor,
    ) -> LossTerms:
        """The loss of each sample of a batch; arguments as for `Objective.forward`."""
        draw = draw if draw is not None else self.draw(x0.shape, device=x0.device)
        noisy, cond = self.objective.corrupt(x0, draw, cond)
        target = self._target(noisy, draw.sigma, cond)
        return self.objective.compare(denoiser(noisy, draw.sigma, **cond), target, draw.sigma, step, squares)

    def gradient_squares(
        self, denoiser: nn.Module, x0: Tensor, *, step: int | None = None, draw: Draw, **cond: Tensor
    ) -> Squares:
        """The objective's of clean signals ``[B, C, *spatial]``, at the target: the teacher walks once more."""
        noisy, cond = self.objective.corrupt(x0, draw, cond)
        target = self._target(noisy, draw.sigma, cond)
        return self.objective.squares_at(denoiser, noisy, target, draw.sigma, step, cond)

    def _target(self, noisy: Tensor, sigma: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        below = self.levels[torch.searchsorted(self.levels, sigma) - 1]

        def taught(x: Tensor, sigma: Tensor) -> Tensor:
            x0_hat: Tensor = self.teacher(x, sigma, **cond)[0]
            return x0_hat

        return in_one_step(taught, noisy, sigma, below, self.substeps)


def in_one_step(
    denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor, below: Tensor, substeps: int
) -> Tensor:
    """The prediction with which one of Euler's steps goes where so many of ``denoise``'s do.

    A step from s to s' keeps the part s'/s of x and takes the rest from D, so it is a mean of the predictions on the
    way, weighed by what is left of each at the end.

    Args:
        denoise: ``D(x, sigma) -> x0_hat``.
        x: where the walk begins, ``[B, C, *spatial]``.
        sigma, below: noise levels there and at its end, ``[B]``, ``sigma > below >= 0``.
        substeps: of the walk, at levels that are evenly spaced in ``sigma^(1 / 7)``.

    Returns:
        ``[B, C, *spatial]``.
    """
    parts = torch.linspace(0, 1, substeps + 1, dtype=sigma.dtype, device=sigma.device)[:, None]
    levels = torch.lerp(sigma ** (1 / RHO), below ** (1 / RHO), parts) ** RHO
    levels[0], levels[-1] = sigma, below
    mean = torch.zeros_like(x)
    for level, lower in pairwise(levels):
        denoised, kept = denoise(x, level), expand_sigma(lower / level, x)
        x = torch.lerp(denoised, x, kept)
        mean = torch.lerp(denoised, mean, kept)
    return mean / (1 - expand_sigma(below / sigma, x))
