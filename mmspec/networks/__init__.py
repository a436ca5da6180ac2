"""Denoising networks: `network(x, c_noise, **cond)`, x `[B, C, *spatial]` of one or two dimensions; and the first
stages of latent diffusion."""

from mmspec.networks.class_context import ClassContextUNet
from mmspec.networks.diffwave import DiffWave
from mmspec.networks.edm_unet import EDMUNet
from mmspec.networks.first_stage import FIRST_STAGES, AutoencoderKL, FirstStage, VQModel
from mmspec.networks.gating import WaveletDown, WaveletUp
from mmspec.networks.unet import UNet

NETWORKS = {network.__name__: network for network in (UNet, ClassContextUNet, EDMUNet, DiffWave)}  # a config's `type`

__all__ = [
    "FIRST_STAGES",
    "NETWORKS",
    "AutoencoderKL",
    "ClassContextUNet",
    "DiffWave",
    "EDMUNet",
    "FirstStage",
    "UNet",
    "VQModel",
    "WaveletDown",
    "WaveletUp",
]
