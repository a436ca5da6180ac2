"""Denoising networks: `network(x, c_noise, **cond)`, x `[B, C, *spatial]` of one or two dimensions; and the first
stages of latent diffusion."""

from mmspec.networks.diffwave import DiffWave
from mmspec.networks.edm_unet import EDMUNet
from mmspec.networks.first_stage import FIRST_STAGES, AutoencoderKL, FirstStage, VQModel
from mmspec.networks.gating import WaveletDown, WaveletUp
from mmspec.networks.unet import UNet

NETWORKS = {"UNet": UNet, "EDMUNet": EDMUNet, "DiffWave": DiffWave}  # what a config's `type` may name

__all__ = [
    "FIRST_STAGES",
    "NETWORKS",
    "AutoencoderKL",
    "DiffWave",
    "EDMUNet",
    "FirstStage",
    "UNet",
    "VQModel",
    "WaveletDown",
    "WaveletUp",
]
