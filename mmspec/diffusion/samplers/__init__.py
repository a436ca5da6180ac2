"""From noise to signals: walking sigma down to 0 with D alone."""

from mmspec.diffusion.samplers.ddim import DDIM, DDPM
from mmspec.diffusion.samplers.dpmpp_2m import DPMpp2M
from mmspec.diffusion.samplers.euler import Euler
from mmspec.diffusion.samplers.heun import Heun
from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, Sampler
from mmspec.diffusion.samplers.unipc import UniPC

__all__ = ["DDIM", "DDPM", "ConditionedDenoiser", "DPMpp2M", "Euler", "Heun", "Sampler", "UniPC"]
