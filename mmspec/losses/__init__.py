"""Regularizers: ``loss = Loss(**options)(input, target)`` on ``[B, C, T]`` or ``[B, C, H, W]``, light to import
alone.
"""

from mmspec.losses.base import SpectralLoss
from mmspec.losses.distillation import SpectrumAwareDistillationLoss
from mmspec.losses.fourier import FourierAmplitudeLoss, FourierAmplitudePhaseLoss
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.squared_error import SquaredError
from mmspec.losses.stft import MultiResolutionSTFTLoss
from mmspec.losses.wavelet import WaveletLoss
from mmspec.losses.weighting import SigmaWeight

__all__ = [
    "FourierAmplitudeLoss",
    "FourierAmplitudePhaseLoss",
    "MultiResolutionSTFTLoss",
    "Regularizer",
    "SigmaWeight",
    "SpectralLoss",
    "SpectrumAwareDistillationLoss",
    "SquaredError",
    "WaveletLoss",
]
