"""Processes, objectives and samplers, all in terms of one denoiser ``D(x; sigma)``."""

from mmspec.diffusion.denoiser import Denoiser
from mmspec.diffusion.distillation import DistillationObjective
from mmspec.diffusion.objective import Objective
from mmspec.diffusion.sampling import sample, seeded
from mmspec.diffusion.step_distillation import StepDistillationObjective

AnyObjective = Objective | DistillationObjective | StepDistillationObjective  # alike in `draw` and `forward`

__all__ = [
    "AnyObjective",
    "Denoiser",
    "DistillationObjective",
    "Objective",
    "StepDistillationObjective",
    "sample",
    "seeded",
]
