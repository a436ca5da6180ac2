"""From noise to signals: walking sigma down to 0 with D alone.

A sampler is a small object with its options, called as ``sampler(denoise, x, sigmas, draw, on_step)``: ``denoise``
is a `ConditionedDenoiser`, ``x`` the noisy start ``[B, C, *spatial]``, ``sigmas`` the noise levels as floats,
descending and ending with 0, ``draw()`` returns new standard normal noise like x, and ``on_step(index, x, denoised)``
is told about each finished step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from mmspec.diffusion.guidance import Guided

Draw = Callable[[], Tensor]
OnStep = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True)
class ConditionedDenoiser:
    """What a sampler sees of a denoiser: a function of a float64 signal and a float sigma."""

    denoiser: Callable[..., Tensor]
    cond: dict[str, Tensor]

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """x0_hat, ``[B, C, *spatial]`` float64."""
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        return self.denoiser(x, level, **self.cond).to(x.dtype)

    def round_sigma(self, sigma: float) -> float:
        """The nearest noise level that the denoiser knows."""
        return _rounded(self.denoiser, torch.tensor([sigma], dtype=torch.float64)).item()


@dataclass(frozen=True)
class DDIM:
    """Song et al. 2021, Eq. 12, in sigma; ``eta=0`` is Euler's method, ``eta=1`` DDPM's ancestral sampling.

    Args:
        eta: share of DDPM's noise that is put back, in [0, 1].
        clip: keep ``x / sqrt(sigma^2 + 1)``, the noisy signal as DDPM scales it, in [-1, 1] after every step, as
            LMNT's DiffWave does.
        clip_denoised: keep the predicted clean signal in [-1, 1] at every step, as Ho et al. 2020 do.
    """

    eta: float = 0.0
    clip: bool = False
    clip_denoised: bool = False

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: Draw, on_step: OnStep
    ) -> Tensor:
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = denoise(x, sigma)
            if self.clip_denoised:
                denoised = denoised.clamp(-1, 1)
            sigma_up = self.eta * sigma_next * math.sqrt(1 - (sigma_next / sigma) ** 2)
            sigma_down = math.sqrt(sigma_next**2 - sigma_up**2)
            x = denoised + sigma_down / sigma * (x - denoised)
            if self.eta:
                x = x + sigma_up * draw()
            if self.clip:
                bound = math.hypot(1, sigma_next)
                x = x.clamp(-bound, bound)
            on_step(i, x, denoised)
        return x


@dataclass(frozen=True)
class DDPM(DDIM):
    """Ancestral sampling (Ho et al. 2020, Algorithm 2), in sigma: the posterior ``q(x_next | x, x0_hat)``."""

    eta: float = 1.0


@dataclass(frozen=True)
class Euler(DDIM):
    """Euler's method on ``dx/dsigma = (x - D) / sigma`` (Karras et al. 2022)."""


@dataclass(frozen=True)
class Heun:
    """Karras et al. 2022, Algorithm 2: Heun's method, with optional churn; ``2 steps - 1`` calls of the denoiser.

    Args:
        churn, churn_min, churn_max, churn_noise: S_churn, S_tmin, S_tmax and S_noise of the paper; 0 churn is
            deterministic (Algorithm 1). With churn, noise is drawn at every step, also where it is not used.
    """

    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: Draw, on_step: OnStep
    ) -> Tensor:
        gamma = min(self.churn / (len(sigmas) - 1), math.sqrt(2) - 1)
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            if self.churn:
                sigma_hat = sigma
                if self.churn_min <= sigma <= self.churn_max:
                    sigma_hat = denoise.round_sigma((1 + gamma) * sigma)
                x = x + math.sqrt(sigma_hat**2 - sigma**2) * self.churn_noise * draw()
                sigma = sigma_hat
            denoised = denoise(x, sigma)
            slope = (x - denoised) / sigma
            x_next = x + (sigma_next - sigma) * slope
            if sigma_next > 0:
                slope_next = (x_next - denoise(x_next, sigma_next)) / sigma_next
                x_next = x + (sigma_next - sigma) * (slope + slope_next) / 2
            x = x_next
            on_step(i, x, denoised)
        return x


@dataclass(frozen=True)
class DPMpp2M:
    """DPM-Solver++(2M), data prediction, second order multistep (Lu et al. 2022, Algorithm 2), in sigma."""

    def __call__(
        self, denoise: ConditionedDenoiser, x: Tensor, sigmas: Sequence[float], draw: Draw, on_step: OnStep
    ) -> Tensor:
        previous, h_previous = None, 0.0
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            denoised = denoise(x, sigma)
            if sigma_next == 0:  # h is infinite: the update is the prediction itself
                x = denoised
            else:
                h = math.log(sigma / sigma_next)
                direction = denoised
                if previous is not None:
                    direction = denoised + h / (2 * h_previous) * (denoised - previous)
                x = sigma_next / sigma * x - math.expm1(-h) * direction
                previous, h_previous = denoised, h
            on_step(i, x, denoised)
        return x


SAMPLERS: dict[str, Callable[..., Any]] = {
    "ddpm": DDPM,
    "ddim": DDIM,
    "euler": Euler,
    "heun": Heun,
    "dpmpp_2m": DPMpp2M,
}


def seeded(seeds: Sequence[int], device: str | torch.device = "cpu") -> list[Generator]:
    """One generator a sample, so that each sample depends on its seed alone, not on the batch it is drawn in."""
    return [Generator(device).manual_seed(int(seed)) for seed in seeds]


@torch.no_grad()
def sample(
    denoiser: Callable[..., Tensor],
    start: Sequence[int] | Tensor,
    *,
    sampler: str | Callable[..., Tensor] = "heun",
    steps: int = 18,
    sigmas: Sequence[float] | Tensor | None = None,
    labels: Tensor | None = None,
    guidance: float | None = None,
    null_context: Tensor | None = None,
    generator: Generator | Sequence[Generator] | None = None,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
    device: str | torch.device | None = None,
    **cond: Tensor,
) -> Tensor:
    """Draw samples.

    Args:
        denoiser: a `mmspec.diffusion.Denoiser`, or any ``D(x, sigma, **cond)``; the latter needs ``sigmas``.
        start: shape ``(B, C, *spatial)`` of the samples; or standard normal noise, in the shape of the latents where
            the denoiser has a first stage.
        sampler: "ddpm", "ddim", "euler", "heun", "dpmpp_2m", or a sampler object with options of its own.
        steps: number of steps; heun calls the denoiser ``2 steps - 1`` times, the others ``steps`` times.
        sigmas: noise levels, descending, without the final 0; None takes the denoiser's own grid.
        labels: one-hot ``[B, classes]``, or int64 ``[B]`` without guidance; None is unconditional.
        guidance: scale of classifier-free guidance, which needs one-hot labels, or a context and what stands for none;
            None samples without.
        null_context: ``[1, L, D]``, for guidance towards ``context``, which is ``[B, L, D]``.
        generator: one generator, or one a sample (see `seeded`): then each sample is the same in any batch.
        callback: told ``(step, x, denoised)`` after each step; latents where the denoiser has a first stage.
        device: where to sample; None follows the denoiser's weights.
        cond: further conditioning, handed to the denoiser.

    Returns:
        ``[B, C, *spatial]`` in the dtype of the given noise, float32 for a shape; the walk itself is in float64.

    Raises:
        ValueError: for an unknown sampler, no steps, missing sigmas, guidance without one-hot labels or contexts, or
            not one generator a sample.
    """
    if guidance is not None and (labels is None or labels.ndim != 2) and (labels is not None or null_context is None):
        raise ValueError("guidance needs labels=, one-hot rows [B, classes], or context= and null_context=.")
    if isinstance(sampler, str) and sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}.")
    walk = SAMPLERS[sampler]() if isinstance(sampler, str) else sampler
    if device is None:
        weights = next(denoiser.parameters(), None) if isinstance(denoiser, torch.nn.Module) else None
        device = weights.device if weights is not None else "cpu"
    preconditioning = getattr(denoiser, "preconditioning", None)
    levels = _noise_levels(denoiser, steps, sigmas)
    first_stage = getattr(denoiser, "first_stage", None)
    shape = tuple(start.shape if isinstance(start, Tensor) else start)
    if first_stage is not None and not isinstance(start, Tensor):
        shape = (shape[0], *first_stage.latent_shape(shape[1:]))
    draw = _noise_source(shape, generator, torch.device(device))
    noise = start.to(device, torch.float64) if isinstance(start, Tensor) else draw()

    if labels is not None:
        cond["labels"] = labels.to(device)
    conditioned = ConditionedDenoiser(denoiser if guidance is None else Guided(denoiser, guidance, null_context), cond)
    on_step = callback if callback is not None else lambda step, x, denoised: None
    start_scale = preconditioning.start_scale(levels[0]) if preconditioning is not None else levels[0]
    samples = walk(conditioned, start_scale * noise, [*levels, 0.0], draw, on_step)
    samples = samples.to(start.dtype if isinstance(start, Tensor) else torch.float32)
    return samples if first_stage is None else denoiser.decode(samples)  # type: ignore[attr-defined]


def _rounded(denoiser: Callable[..., Tensor], sigmas: Tensor) -> Tensor:
    round_sigma = getattr(denoiser, "round_sigma", None)
    return sigmas if round_sigma is None else round_sigma(sigmas)


def _noise_levels(denoiser: Callable[..., Tensor], steps: int, sigmas: Sequence[float] | Tensor | None) -> list[float]:
    if sigmas is None:
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, not {steps}.")
        preconditioning = getattr(denoiser, "preconditioning", None)
        if preconditioning is None:
            raise ValueError("this denoiser has no noise levels of its own: give sigmas=, descending, without the 0.")
        sigmas = preconditioning.sampling_sigmas(steps)
    levels = _rounded(denoiser, torch.as_tensor(sigmas, dtype=torch.float64)).tolist()
    if not levels or levels[-1] <= 0 or any(a <= b for a, b in pairwise(levels)):
        raise ValueError("sigmas must be positive and strictly descending; take fewer steps if a table repeats.")
    return levels


def _noise_source(
    shape: tuple[int, ...], generator: Generator | Sequence[Generator] | None, device: torch.device
) -> Callable[[], Tensor]:
    if generator is None or isinstance(generator, Generator):
        origin = generator.device if generator is not None else device
        return lambda: torch.randn(shape, generator=generator, device=origin).to(device, torch.float64)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} samples: give one generator a sample.")
    generators = list(generator)
    return lambda: torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in generators]).to(
        device, torch.float64
    )
