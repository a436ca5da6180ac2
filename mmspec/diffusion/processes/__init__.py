"""Diffusion processes, all in sigma: scalings, training noise, weight and the sampler's grid of each in one file."""

from mmspec.diffusion.processes.ddpm import DDPM
from mmspec.diffusion.processes.diffwave import DiffWave
from mmspec.diffusion.processes.edm import EDM
from mmspec.diffusion.processes.flow import Flow
from mmspec.diffusion.processes.iddpm import IDDPM
from mmspec.diffusion.processes.ldm import LDM
from mmspec.diffusion.processes.process import Process, Scalings
from mmspec.diffusion.processes.ve import VE
from mmspec.diffusion.processes.vp import VP

__all__ = ["DDPM", "EDM", "IDDPM", "LDM", "VE", "VP", "DiffWave", "Flow", "Process", "Scalings"]
