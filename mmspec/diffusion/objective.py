"""What training minimizes: the weighted error of D at random noise levels, plus spectral terms."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple, TypeAlias

import torch
from torch import Generator, Tensor, nn

from mmspec.diffusion.conditions import hide, said
from mmspec.diffusion.denoiser import expand_sigma
from mmspec.diffusion.noise import NoiseDistribution
from mmspec.diffusion.processes import Process
from mmspec.losses.balance import GradientSquares
from mmspec.losses.regularizer import Regularizer, RegularizerTerm
from mmspec.losses.weighting import noise_level

DISTANCES = ("l2", "l1")

Squares: TypeAlias = dict[str, GradientSquares]  # by the regularizer's name


class Draw(NamedTuple):
    """The random part of a training step, of all samples of a batch.

    Attributes:
        sigma: ``[B]``.
        noise: standard normal, ``[B, C, *spatial]``.
        keep: ``[B]`` in {0, 1}: 0 where the conditions are hidden, for classifier-free guidance.
    """

    sigma: Tensor
    noise: Tensor
    keep: Tensor

    def __getitem__(self, samples: slice) -> "Draw":  # type: ignore[override]
        return Draw(*(part[samples] for part in (self.sigma, self.noise, self.keep)))


class LossTerms(NamedTuple):
    """A training loss and its parts, a value a sample; average over ``[B]`` to optimize.

    Attributes:
        total: ``[B]``, denoising loss plus weighted regularizers.
        sigma: ``[B]``, the noise levels drawn.
        parts: name -> ``[B]``, detached: "denoising", and for each regularizer "<name>" (raw) and
            "<name>_weighted".
        scales: regularizer -> ``[]`` or float, its weight: see `mmspec.losses.regularizer.RegularizerTerm`.
        squares: regularizer -> squared norms of gradients at the prediction, where it has any.
    """

    total: Tensor
    sigma: Tensor
    parts: dict[str, Tensor]
    scales: dict[str, Tensor | float]
    squares: Squares

    def plus(self, name: str, term: RegularizerTerm) -> "LossTerms":
        """With a regularizer."""
        return LossTerms(
            self.total + term.weighted,
            self.sigma,
            {**self.parts, name: term.raw, f"{name}_weighted": term.weighted.detach()},
            {**self.scales, name: term.scale},
            self.squares if term.squares is None else {**self.squares, name: term.squares},
        )

    @property
    def grad_shares(self) -> dict[str, Tensor]:
        """Norm of each weighted regularizer's gradient at the prediction over that of the denoising loss, ``[]``."""
        return {name: self.scales[name] * squares.ratio for name, squares in self.squares.items()}


def add_squares(parts: Sequence[Squares]) -> Squares:
    """Squared norms of gradients of a batch, from those of its parts."""
    return {name: reduce(add, (part[name] for part in parts)) for name in parts[0]}


class Objective(nn.Module):
    """``E weight(sigma) |D(x0 + sigma n; sigma) - x0|^2 + regularizers`` (Karras et al. 2022, Eq. 8, as a mean over the
    elements of a sample, so that its scale does not depend on the signal's size).

    Args:
        process: draws the training noise levels and weighs the errors.
        distance: "l2", or "l1" for ``sqrt(weight) |D - x0|`` (DiffWave).
        regularizers: spectral terms by name.
        label_dropout: probability in [0, 1] of hiding what a sample's network is told: labels, text, spectrogram.
        noise: draws the noise levels in place of the process.
        weighting: weighs the errors in place of the process, a function of sigma ``[B]`` -> ``[B]``.

    Raises:
        ValueError: for another distance, or no probability.
    """

    def __init__(
        self,
        process: Process,
        distance: str = "l2",
        regularizers: Mapping[str, Regularizer] | None = None,
        label_dropout: float = 0.0,
        *,
        noise: NoiseDistribution | None = None,
        weighting: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, not {distance!r}.")
        if not 0 <= label_dropout <= 1:
            raise ValueError(f"label_dropout is a probability between 0 and 1, not {label_dropout}.")
        self.process = process
        self.distance = distance
        self.regularizers = nn.ModuleDict(regularizers or {})
        self.label_dropout = label_dropout
        self.noise = noise if noise is not None else process
        self.weighting = weighting if weighting is not None else process.weight

    def draw(
        self,
        shape: Sequence[int],
        generator: Generator | None = None,
        device: torch.device | None = None,
        noise: NoiseDistribution | None = None,
    ) -> Draw:
        """Noise levels, noise and whose conditions are hidden, for a batch of a shape ``(B, C, *spatial)``, in this
        order; ``noise`` draws the levels in place of the objective's own.

        Raises:
            ValueError: if it draws another number of them.
        """
        levels = noise or self.noise
        sigma = levels.draw(shape[0], generator, device)
        if sigma.shape != (shape[0],):
            raise ValueError(f"{type(levels).__name__}.draw gave {list(sigma.shape)} for [{shape[0]}] noise levels.")
        unit = torch.randn(tuple(shape), generator=generator, device=device)
        keep = torch.rand(shape[0], generator=generator, device=device) >= self.label_dropout
        return Draw(sigma, unit, keep.float())

    @property
    def balanced(self) -> bool:
        """Whether the weight of a regularizer depends on the whole batch."""
        return any(regularizer.balance for regularizer in self.regularizers.values())

    def forward(
        self,
        denoiser: nn.Module,
        x0: Tensor,
        *,
        step: int | None = None,
        draw: Draw | None = None,
        squares: Squares | None = None,
        **cond: Tensor,
    ) -> LossTerms:
        """The loss of each sample of a batch.

        Args:
            denoiser: ``denoiser(x, sigma, **cond) -> x0_hat``.
            x0: clean signals, ``[B, C, *spatial]``.
            step: training step, needed by regularizers with a ramp.
            draw: from `draw`; None draws with torch's global generator.
            squares: of gradients of the whole batch, of which ``x0`` is a part (see `gradient_squares`); None where it
                is the whole.
            cond: what the denoiser is told, as `mmspec.diffusion.conditions.tell` says: ``labels`` as one-hot rows
                ``[B, classes]`` (int64 ``[B]`` where they are never hidden), ``context`` ``[B, L, D]`` with
                ``null_context`` ``[1, L, D]``, ...
        """
        draw = draw if draw is not None else self.draw(x0.shape, device=x0.device)
        noisy, cond = self.corrupt(x0, draw, cond)
        return self.compare(denoiser(noisy, draw.sigma, **cond), x0, draw.sigma, step, squares)

    def gradient_squares(
        self, denoiser: nn.Module, x0: Tensor, *, step: int | None = None, draw: Draw, **cond: Tensor
    ) -> Squares:
        """What balancing must know of a micro-batch before the first can be weighed; `add_squares` adds them up.

        Takes a forward pass of the denoiser without a graph. Arguments as for `forward`.
        """
        noisy, cond = self.corrupt(x0, draw, cond)
        return self.squares_at(denoiser, noisy, x0, draw.sigma, step, cond)

    def squares_at(
        self,
        denoiser: nn.Module,
        noisy: Tensor,
        x0: Tensor,
        sigma: Tensor,
        step: int | None,
        cond: Mapping[str, Tensor],
    ) -> Squares:
        """The same of noisy signals ``[B, C, *spatial]`` and what is to be found in them, ``x0``."""
        with torch.no_grad():
            x0_hat = denoiser(noisy, sigma, **cond)
        return self.compare(x0_hat.requires_grad_(), x0, sigma, step).squares

    def corrupt(self, x0: Tensor, draw: Draw, cond: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """What a denoiser is given: noisy signals ``[B, C, *spatial]``, and the conditions that are not hidden."""
        told = hide(cond, draw.keep) if self.label_dropout else said(cond)
        return x0 + expand_sigma(draw.sigma, x0) * draw.noise, told

    def compare(
        self,
        x0_hat: Tensor,
        x0: Tensor,
        sigma: Tensor | float,
        step: int | None = None,
        squares: Squares | None = None,
    ) -> LossTerms:
        """The loss of predictions ``x0_hat`` of clean signals ``x0``, at ``sigma``, a number, ``[]`` or ``[B]``."""
        sigma = noise_level(sigma, x0)
        weight = expand_sigma(self.weighting(sigma).sqrt(), x0)
        error = weight * torch.where(weight == 0, 0, x0_hat - x0)  # 0 times infinity would be NaN
        denoising = (error.square() if self.distance == "l2" else error.abs()).flatten(1).mean(1)
        terms = LossTerms(denoising, sigma, {"denoising": denoising.detach()}, {}, {})
        for name, regularizer in self.regularizers.items():
            term = regularizer(x0_hat, x0, sigma, step, denoising, squares and squares[name])
            terms = terms.plus(name, term)
        return terms
