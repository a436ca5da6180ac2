"""What a sampler is, and what it sees of a denoiser."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmspec.diffusion.correction import Correction

NoiseSource = Callable[[], Tensor]
OnStep = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True)
class ConditionedDenoiser:
    """A denoiser as a function of a float64 signal and a float sigma.

    Args:
        denoiser: ``D(x, sigma, **cond)``, which may have ``round_sigma``.
        cond: what it is told of the samples.
        correction: of what it predicts; None for none.
        device: where it is; None where the signal is.
    """

    denoiser: Callable[..., Tensor]
    cond: Mapping[str, Tensor]
    correction: Correction | None = None
    device: torch.device | None = None

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """x0_hat, ``[B, C, *spatial]`` float64."""
        at = x.device if self.device is None else self.device
        seen = x.to(at, torch.float32 if at.type == "mps" else x.dtype)  # Apple GPUs have no float64
        level = torch.full(x.shape[:1], sigma, dtype=seen.dtype, device=at)
        x0_hat = self.denoiser(seen, level, **self.cond)
        return (x0_hat if self.correction is None else self.correction(x0_hat, sigma)).to(x.device).to(x.dtype)

    def round_sigma(self, sigma: float) -> float:
        """The nearest noise level that the denoiser knows."""
        return rounded(self.denoiser, torch.tensor([sigma], dtype=torch.float64)).item()


class Sampler(ABC):
    """Walks sigma down to 0 with D alone, so that every sampler serves every process and modality."""

    @abstractmethod
    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: NoiseSource, on_step: OnStep
    ) -> Tensor:
        """From a noisy start to samples.

        Args:
            denoise: ``denoise(x, sigma) -> x0_hat``.
            x: the start, ``[B, C, *spatial]`` float64.
            sigmas: noise levels, descending, the last one 0.
            draw: ``draw()`` is new standard normal noise like x.
            on_step: to be told ``(index, x, denoised)`` after each step.

        Returns:
            ``[B, C, *spatial]`` float64.
        """


def rounded(denoiser: Any, sigmas: Tensor) -> Tensor:
    """The nearest noise levels that a denoiser knows, same shape; all of them, unless it has ``round_sigma``."""
    return denoiser.round_sigma(sigmas) if hasattr(denoiser, "round_sigma") else sigmas
