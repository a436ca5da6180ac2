"""Processes, objectives and samplers, all in terms of one denoiser ``D(x; sigma)``."""

from .denoiser import Denoiser
from .objective import Objective
from .samplers import sample, seeded

__all__ = ["Denoiser", "Objective", "sample", "seeded"]
