"""Processes, objectives and samplers, all in terms of one denoiser ``D(x; sigma)``."""

from mmspec.diffusion.denoiser import Denoiser
from mmspec.diffusion.distillation import DistillationObjective
from mmspec.diffusion.objective import Objective
from mmspec.diffusion.sampling import sample, seeded
from mmspec.diffusion.step_distillation import StepDistillationObjective

__all__ = ["Denoiser", "DistillationObjective", "Objective", "StepDistillationObjective", "sample", "seeded"]
