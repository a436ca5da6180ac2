"""Denoising networks: ``network(x, c_noise, **cond)``, x ``[B, C, *spatial]`` of one or two dimensions; and the first
stages of latent diffusion.
"""

from mmspec.networks.class_context import ClassContextUNet
from mmspec.networks.diffusers_unet import DiffusersUNet
from mmspec.networks.diffwave import DiffWave
from mmspec.networks.edm_unet import EDMUNet
from mmspec.networks.first_stage import AutoencoderKL, FirstStage, VQModel
from mmspec.networks.gating import WaveletDown, WaveletUp
from mmspec.networks.network import Network, make_network
from mmspec.networks.tiny_autoencoder import AutoencoderTiny
from mmspec.networks.unet import UNet

__all__ = [
    "AutoencoderKL",
    "AutoencoderTiny",
    "ClassContextUNet",
    "DiffWave",
    "DiffusersUNet",
    "EDMUNet",
    "FirstStage",
    "Network",
    "UNet",
    "VQModel",
    "WaveletDown",
    "WaveletUp",
    "make_network",
]
