"""Regularizers: ``loss = Loss(**options)(input, target)`` on ``[B, C, T]`` or ``[B, C, H, W]``, light to import
alone.

In a loop of your own, `clean_and_sigma` makes what a regularizer compares out of what the network predicts, and
`Regularizer` weighs it. Gates in sigma are `InverseSigmaGate` and `StepGate`; all weights are in
`mmspec.losses.weighting`. Without a gate, a weight that suits a denoiser can outweigh the loss of a loop that
predicts noise, as at high noise x0_hat is a guess.

Compile the network, or any step with a loss in it, also with ``fullgraph=True``; a `Regularizer` that is given
``denoising=`` takes gradients on the way, so leave that out of what is compiled.
"""

from mmspec.losses.base import SpectralLoss
from mmspec.losses.conventions import CleanAndSigma, clean_and_sigma
from mmspec.losses.distillation import SpectrumAwareDistillationLoss
from mmspec.losses.fourier import FourierAmplitudeLoss, FourierAmplitudePhaseLoss
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.squared_error import SquaredError
from mmspec.losses.stft import MultiResolutionSTFTLoss
from mmspec.losses.wavelet import WaveletLoss
from mmspec.losses.weighting import InverseSigmaGate, SigmaWeight, StepGate

__all__ = [
    "CleanAndSigma",
    "FourierAmplitudeLoss",
    "FourierAmplitudePhaseLoss",
    "InverseSigmaGate",
    "MultiResolutionSTFTLoss",
    "Regularizer",
    "SigmaWeight",
    "SpectralLoss",
    "SpectrumAwareDistillationLoss",
    "SquaredError",
    "StepGate",
    "WaveletLoss",
    "clean_and_sigma",
]
