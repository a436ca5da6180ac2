"""Samples of a denoiser: its noise levels, its noise, a sampler's walk, and decoding."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor

from mmspec.components import named
from mmspec.devices import walk_device
from mmspec.diffusion.conditions import hideable, said
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.guidance import Guided
from mmspec.diffusion.processes import Process
from mmspec.diffusion.samplers.sampler import ConditionedDenoiser, NoiseSource, OnStep, Sampler, rounded


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
    correction: Correction | None = None,
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
        sampler: "ddpm", "ddim", "euler", "heun", "dpmpp_2m", "unipc", or a `Sampler` with options of its own.
        steps: number of steps; heun calls the denoiser ``2 steps - 1`` times, the others ``steps`` times.
        sigmas: noise levels, descending, without the final 0; None takes the denoiser's own grid.
        labels: one-hot ``[B, classes]``, or int64 ``[B]`` without guidance; None is unconditional.
        guidance: scale of classifier-free guidance towards all that the denoiser is told; None samples without.
        correction: of x0_hat at every step, calibrated for this denoiser with this guidance; None for none.
        generator: one generator, or one a sample (see `seeded`): then each sample is the same in any batch.
        callback: told ``(step, x, denoised)`` after each step; latents where the denoiser has a first stage.
        device: where to sample; None follows the denoiser's weights.
        cond: what else the denoiser is told, ``[B, ...]`` each; with guidance ``null_<keyword>`` ``[1, ...]`` takes the
            place of one, which texts need (``null_context``); without, zeros do.

    Returns:
        ``[B, C, *spatial]`` in the dtype of the given noise, float32 for a shape; the walk itself is in float64.

    Raises:
        ValueError: for an unknown sampler, no steps, missing sigmas, guidance towards nothing, or not one generator a
            sample.
    """
    if labels is not None:
        cond["labels"] = labels
    if guidance is not None and not hideable(cond):
        raise ValueError(
            "guidance needs labels=, one-hot rows [B, classes], context= and null_context= or spectrogram=."
        )
    walk = named(sampler, Sampler, "sampler")() if isinstance(sampler, str) else sampler
    device = torch.device(device) if device is not None else _device(denoiser)
    process, first_stage = (getattr(denoiser, name, None) for name in ("process", "first_stage"))
    levels = noise_levels(denoiser, steps, sigmas)
    shape = tuple(start.shape if isinstance(start, Tensor) else start)
    if first_stage is not None and not isinstance(start, Tensor):
        shape = (shape[0], *first_stage.latent_shape(shape[1:]))
    at = walk_device(device)
    draw = _noise_source(shape, generator, at)
    noise = start.to(at, torch.float64) if isinstance(start, Tensor) else draw()

    cond = {name: value.to(device) for name, value in cond.items()}
    if guidance is None:
        conditioned = ConditionedDenoiser(denoiser, said(cond), correction, device)
    else:
        conditioned = ConditionedDenoiser(Guided(denoiser, guidance), cond, correction, device)
    on_step = callback if callback is not None else lambda step, x, denoised: None
    samples = walked(walk, process, conditioned, noise, levels, draw, on_step)
    samples = samples.to(start.dtype if isinstance(start, Tensor) else torch.float32).to(device)
    return samples if first_stage is None else denoiser.decode(samples)  # type: ignore[attr-defined]


def walked(
    walk: Callable[..., Tensor],
    process: Process | None,
    denoise: ConditionedDenoiser,
    noise: Tensor,
    levels: Sequence[float],
    draw: NoiseSource,
    on_step: OnStep,
) -> Tensor:
    """A sampler's walk from standard normal noise to what the network works on, by plain arithmetic alone.

    Args:
        walk: a `Sampler`.
        process: says where it starts and ends; None from ``levels[0]`` to 0.
        denoise: ``denoise(x, sigma) -> x0_hat``.
        noise: ``[B, C, *spatial]`` float64.
        levels: noise levels, descending, without the final 0.
        draw: new standard normal noise like x.
        on_step: told ``(index, x, denoised)`` after each step.

    Returns:
        ``[B, C, *spatial]`` float64.
    """
    start_scale = process.start_scale(levels[0]) if process is not None else levels[0]
    end = process.sigma_end if process is not None else 0.0
    path = [*(level for level in levels if level > end), end]
    return walk(denoise, start_scale * noise, path, draw, on_step) / math.hypot(1, end)


def _device(denoiser: Callable[..., Tensor]) -> torch.device:
    weights = next(denoiser.parameters(), None) if isinstance(denoiser, torch.nn.Module) else None
    return weights.device if weights is not None else torch.device("cpu")


def noise_levels(denoiser: Callable[..., Tensor], steps: int, sigmas: Sequence[float] | Tensor | None) -> list[float]:
    """The noise levels of a walk: those given, ``[steps]``, or the denoiser's own; rounded to those that it knows."""
    if sigmas is None:
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, not {steps}.")
        process = getattr(denoiser, "process", None)
        if process is None:
            raise ValueError("this denoiser has no noise levels of its own: give sigmas=, descending, without the 0.")
        sigmas = process.sampling_sigmas(steps)
    levels: list[float] = rounded(denoiser, torch.as_tensor(sigmas, dtype=torch.float64)).tolist()
    if not levels or levels[-1] <= 0 or any(a <= b for a, b in pairwise(levels)):
        raise ValueError("sigmas must be positive and strictly descending; take fewer steps if a table repeats.")
    return levels


def _noise_source(
    shape: tuple[int, ...], generator: Generator | Sequence[Generator] | None, device: torch.device
) -> NoiseSource:
    if generator is None or isinstance(generator, Generator):
        origin = generator.device if generator is not None else device
        return lambda: torch.randn(shape, generator=generator, device=origin).to(device, torch.float64)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} samples: give one generator a sample.")
    generators = list(generator)
    return lambda: torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in generators]).to(
        device, torch.float64
    )
