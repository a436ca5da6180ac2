"""How much the error at each noise level counts: functions of sigma, for objectives and for regularizers."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Annotated

import torch
from torch import Tensor

from mmspec.losses.auto import Auto
from mmspec.spectral.derivatives import transformed


def per_sample(sigma: Tensor | float, x: Tensor, name: str = "sigma") -> Tensor:
    """The noise level of each sample.

    Args:
        sigma: a number, ``[]``, ``[B]``, or ``[B, 1, ...]`` with as many axes as x.
        x: ``[B, C, *spatial]``.
        name: what it is called in errors.

    Returns:
        ``[B]``, floating point, where x is.

    Raises:
        ValueError: for a sigma of another shape, which would weigh samples by each other's noise.
    """
    if isinstance(sigma, Real):
        return torch.full(x.shape[:1], float(sigma), dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    each = (x.shape[0], *[1] * (x.ndim - 1))  # len(x) would fix the batch of an exported graph
    whole = isinstance(sigma, Tensor) and sigma.shape in ((), x.shape[:1], each)
    if not isinstance(sigma, Tensor) or sigma.is_complex() or not whole:
        found = list(sigma.shape) if isinstance(sigma, Tensor) and not whole else repr(sigma)
        raise ValueError(
            f"{name} must be a number, [], [{len(x)}] or {list(each)}, a value for each sample of x {list(x.shape)}, "
            f"not {found}."
        )
    levels = sigma if sigma.is_floating_point() else sigma.float()
    return (levels.flatten() if sigma.ndim else levels).to(x.device).expand(x.shape[:1])


def noise_level(sigma: Tensor | float, x: Tensor) -> Tensor:
    """The noise level of each sample, as `per_sample`, and a finite one.

    Numbers and tensors on the CPU are looked at. Those on another device are not, as each look would make the host wait
    for it: a noise level of NaN there makes losses of NaN, which training stops at.

    Raises:
        ValueError: as `per_sample`, and for a sigma below 0, infinite or NaN.
    """
    levels = per_sample(sigma, x)
    seen = torch.as_tensor(sigma)
    if seen.device.type != "cpu" or transformed() or torch.compiler.is_compiling():
        return levels
    odd = ~((seen >= 0) & (seen < torch.inf))
    if odd.any():
        raise ValueError(f"sigma is a standard deviation of noise, finite and 0 or more, not {seen[odd][:3].tolist()}.")
    return levels


class SigmaWeight(ABC):
    """A function of the noise level: the weight of an objective, or the gate of a regularizer."""

    @abstractmethod
    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``, 0 or more."""


@dataclass(frozen=True)
class EDMWeight(SigmaWeight):
    """``(sigma^2 + sd^2) / (sigma sd)^2``: the weight of the EDM loss (Karras et al. 2022, Table 1).

    On a regularizer this is the "weighted" row of Spectral Regularization for Diffusion Models, Eq. 17.

    Args:
        sigma_data: standard deviation sd of the clean signal.

    Raises:
        ValueError: if it is not above 0.
    """

    sigma_data: Annotated[float, Auto(lambda sigma_data: sigma_data)] = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.sigma_data < math.inf:
            raise ValueError(f"sigma_data is a standard deviation above 0, not {self.sigma_data}.")

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2


@dataclass(frozen=True)
class NoisePredictionWeight(SigmaWeight):
    """``1 / sigma^2``: turns the squared error of D into that of the predicted noise (DDPM, VP, VE)."""

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``."""
        return sigma**-2


@dataclass(frozen=True)
class VelocityWeight(SigmaWeight):
    """``((1 + sigma) / sigma)^2``: turns the squared error of D into that of flow matching's velocity ``n - x0``."""

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``."""
        return ((1 + sigma) / sigma) ** 2


@dataclass(frozen=True)
class P2Weight(SigmaWeight):
    """``1 / sigma^2 / (k + SNR)^gamma``, ``SNR = 1 / sigma^2``: the noise prediction loss with less weight where little
    noise is left to remove (Choi et al. 2022, "Perception Prioritized Training of Diffusion Models").

    Args:
        k: keeps the weight finite as the signal-to-noise ratio goes to 0, above 0.
        gamma: 0 is the noise prediction loss itself; the paper takes 0.5 or 1.

    Raises:
        ValueError: if k is not above 0, or gamma is below 0.
    """

    k: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.k < math.inf and 0 <= self.gamma < math.inf):
            raise ValueError(f"P2 needs k > 0 and gamma >= 0, not k={self.k}, gamma={self.gamma}.")

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``."""
        snr = sigma**-2
        return snr / (self.k + snr) ** self.gamma


@dataclass(frozen=True)
class MinSNRWeight(SigmaWeight):
    """``min(SNR, gamma)``, ``SNR = 1 / sigma^2``: the noise prediction loss, with the weight of D's error cut off (Hang
    et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy").

    Args:
        gamma: the highest weight, above 0; the paper takes 5.

    Raises:
        ValueError: if gamma is not above 0.
    """

    gamma: float = 5.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"min-SNR needs gamma > 0, not {self.gamma}.")

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``."""
        return (sigma**-2).clamp(max=self.gamma)


@dataclass(frozen=True)
class TruncatedSNRWeight(SigmaWeight):
    """``max(SNR, 1)``, ``SNR = 1 / sigma^2``: the error of the noise or of the signal, whichever is larger.

    Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models".
    """

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``."""
        return (sigma**-2).clamp(min=1)


@dataclass(frozen=True)
class InverseSigmaGate(SigmaWeight):
    """``min(1, sigma_gate / sigma)``: full weight at low noise, fading where D is a mean over many signals.

    At high noise the amplitudes of that mean are rightly smaller than any one signal's; a spectral term at
    full weight would pull D away from it and bias the sampler.

    Args:
        sigma_gate: noise level up to which the weight is 1.

    Raises:
        ValueError: if it is not above 0.
    """

    sigma_gate: Annotated[float, Auto(lambda sigma_data: sigma_data / 0.5)] = 1.0

    def __post_init__(self) -> None:
        _check_gate(self.sigma_gate)

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]`` in (0, 1]."""
        return (self.sigma_gate / sigma).clamp(max=1)


@dataclass(frozen=True)
class StepGate(SigmaWeight):
    """1 up to ``sigma_gate`` and 0 above: the term acts at low noise only.

    Args:
        sigma_gate: highest noise level at which the term acts.

    Raises:
        ValueError: if it is not above 0.
    """

    sigma_gate: Annotated[float, Auto(lambda sigma_data: sigma_data / 0.5)] = 1.0

    def __post_init__(self) -> None:
        _check_gate(self.sigma_gate)

    def __call__(self, sigma: Tensor) -> Tensor:
        """sigma ``[B]`` -> weights ``[B]``, 0 or 1."""
        return (sigma <= self.sigma_gate).to(sigma.dtype)


def _check_gate(sigma_gate: float) -> None:
    if not sigma_gate > 0:
        raise ValueError(f"sigma_gate is a noise level above 0, not {sigma_gate}: it would shut at every sigma.")
