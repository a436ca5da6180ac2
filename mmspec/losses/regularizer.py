"""A spectral loss as a term of a diffusion objective: where in sigma, from which step on, and how strong."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmspec.losses.balance import GradientSquares, gradient_square, safe_ratio
from mmspec.losses.weighting import noise_level


class RegularizerTerm(NamedTuple):
    """What a `Regularizer` returns.

    Attributes:
        raw: ``[B]``, the spectral loss of each sample, detached.
        weighted: ``[B]``, what is added to the denoising loss of each sample.
        scale: lambda, the factor of the gated loss, ``[]`` or a float.
        squares: of gradients at the prediction; None where no denoising loss was given or the prediction needs no
            gradient.
    """

    raw: Tensor
    weighted: Tensor
    scale: Tensor | float
    squares: GradientSquares | None

    @property
    def grad_share(self) -> Tensor | None:
        """Norm of the weighted term's gradient at the prediction over that of the denoising loss, ``[]``, detached."""
        return None if self.squares is None else self.scale * self.squares.ratio


class Regularizer(nn.Module):
    """``weight * ramp(step) * sigma_weight(sigma) * loss(prediction, clean)``, a value a sample.

    Spectral Regularization for Diffusion Models, Eq. 17, with lambda as a number (``balance=None``) or found by
    gradient balancing (``balance="gradient"``): lambda is then set at each step such that the norm of the term's
    gradient at the prediction is ``weight`` times that of the denoising loss, and nothing is left to hand tuning.
    The norms are those of a whole batch; where it comes in micro-batches, they must be told (``squares``).

    Args:
        loss: a loss of `mmspec.losses` built with ``reduction="none"``, or any module
            ``(prediction, clean) -> [B]``.
        weight: lambda >= 0; with ``balance="gradient"`` the share of the denoising gradient, e.g. 0.1.
        sigma_weight: function of sigma ``[B]`` -> ``[B]`` (see `mmspec.losses.weighting`); None weighs all alike.
        ramp_steps: the weight grows linearly from 0 over so many steps; 0 for full weight at once.
        balance: None or "gradient".

    Raises:
        ValueError: for a weight or ramp that is not a number of 0 or more, an unknown balance, or a loss that reduces
            over the batch.

    Example:
        >>> term = Regularizer(FourierAmplitudePhaseLoss(reduction="none"), 0.1, InverseSigmaGate(), balance="gradient")
        >>> loss = (denoising + term(x0_hat, x0, sigma, step, denoising).weighted).mean()

    In a loop that compares noise the gate matters: at high noise x0_hat is noise over a small signal, and without one a
    fixed ``weight=0.1`` may start above the loss and gradient of the denoising, by the schedule.

        >>> x0_hat, sigma = clean_and_sigma(noisy, predicted, alphas_cumprod=alphas_cumprod, timesteps=timesteps)
        >>> loss = denoising + term(x0_hat, x0, sigma, step, denoising, through=predicted).weighted.mean()
    """

    def __init__(
        self,
        loss: nn.Module,
        weight: float = 0.1,
        sigma_weight: Callable[[Tensor], Tensor] | None = None,
        ramp_steps: int = 0,
        balance: str | None = None,
    ) -> None:
        super().__init__()
        if callable(weight):
            raise ValueError(
                f"Regularizer(loss, weight, sigma_weight): weight must be a number, not a {type(weight).__name__}."
            )
        if getattr(loss, "reduction", "none") != "none":
            raise ValueError(
                f'{type(loss).__name__} has reduction="{loss.reduction}", but a term weighed by sigma needs one '
                'value a sample: build it with reduction="none".'
            )
        if not (0 <= weight < math.inf and 0 <= ramp_steps < math.inf):
            raise ValueError(f"weight and ramp_steps must be 0 or more, not {weight} and {ramp_steps}.")
        if balance not in (None, "gradient"):
            raise ValueError(f'balance must be None or "gradient", not {balance!r}.')
        self.loss = loss
        self.weight = weight
        self.sigma_weight = sigma_weight
        self.ramp_steps = ramp_steps
        self.balance = balance

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        sigma: Tensor | float,
        step: int | None = None,
        denoising: Tensor | None = None,
        squares: GradientSquares | None = None,
        through: Tensor | None = None,
    ) -> RegularizerTerm:
        """Weigh the spectral loss of a prediction.

        Args:
            input: prediction of the clean signal, ``[B, C, *spatial]``.
            target: clean signal, same shape.
            sigma: noise level of each sample, ``[B]`` or ``[B, 1, ...]``, or of all, a number or ``[]``; finite and 0
                or more, which is looked at where that makes no device wait: in numbers and in tensors on the CPU.
            step: training step from 0, needed by a ramp.
            denoising: denoising loss of each sample ``[B]``, or their mean ``[]``, computed from ``input``; needed by
                gradient balancing, and for `RegularizerTerm.grad_share` in any case.
            squares: of the whole batch, of which ``input`` is a part; None where it is the whole.
            through: tensor ``[B, ...]`` that ``input`` and ``denoising`` both depend on, at which their gradients are
                compared; None for ``input``. Where a loss compares noise or velocity, the network's output.

        Raises:
            ValueError: if a ramp has no step, gradient balancing no denoising loss, that, the loss, sigma or what
                sigma_weight makes of it is not one value a sample, sigma no noise level
                (`mmspec.losses.weighting.noise_level`), or a loss was not computed from ``through``.
        """
        weight = self.weight * self._ramp(step)
        if denoising is not None and denoising.ndim:
            _one_each(denoising, input, "denoising must be")
        raw, term = self._gated(input, target, self._gate(noise_level(sigma, input)), weight > 0)
        if self.balance and denoising is None:
            raise ValueError('balance="gradient" needs denoising=, the denoising loss of each sample.')
        at = input if through is None else through
        if self.balance and denoising is not None and denoising.requires_grad and not at.requires_grad:
            raise ValueError(
                "gradients cannot be compared at a tensor that has none, as a detached one: give through=, the "
                "network's own output."
            )
        if denoising is None or not at.requires_grad:  # evaluation: there are no gradients to compare
            return RegularizerTerm(raw.detach(), weight * term, weight, None)
        if squares is None:
            squares = GradientSquares(
                gradient_square(term.mean(), at, "the prediction"), gradient_square(denoising.mean(), at, "denoising")
            )
        ratio = squares.ratio
        scale = safe_ratio(ratio.new_tensor(weight), ratio) if self.balance else weight
        return RegularizerTerm(raw.detach(), scale * term, scale, squares)

    def extra_repr(self) -> str:
        """The options, as ``repr`` shows them."""
        return (
            f"weight={self.weight}, sigma_weight={self.sigma_weight}, ramp_steps={self.ramp_steps}, "
            f"balance={self.balance!r}"
        )

    def _gate(self, sigma: Tensor) -> Tensor:
        """``[B]`` -> ``[B]``."""
        gate = torch.ones_like(sigma) if self.sigma_weight is None else self.sigma_weight(sigma)
        if gate.shape != sigma.shape:
            raise ValueError(
                f"sigma_weight={self.sigma_weight} must give one value for each sigma {list(sigma.shape)}, not "
                f"{list(gate.shape)}."
            )
        return gate

    def _gated(self, input: Tensor, target: Tensor, gate: Tensor, active: bool) -> tuple[Tensor, Tensor]:
        """The loss and the gated loss of each sample, ``[B]``; a closed gate hides what is not finite."""
        if self.sigma_weight is None and active:
            raw = self._of_each(input, target)
            return raw, raw
        opened = gate.ne(0) if active else torch.zeros_like(gate, dtype=torch.bool)
        # 0 times infinity is NaN: neither the value nor the gradient of a hidden sample may be multiplied away.
        seen = torch.where(opened.view(-1, *[1] * (input.ndim - 1)), input, input.detach())
        raw = self._of_each(seen, target)
        return raw, torch.where(opened, raw * gate, 0)

    def _of_each(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, ``[B]``."""
        raw: Tensor = self.loss(input, target)
        return _one_each(raw, input, f"{type(self.loss).__name__} must give")

    def _ramp(self, step: int | None) -> float:
        if not self.ramp_steps:
            return 1.0
        if step is None:
            raise ValueError(f"ramp_steps={self.ramp_steps} needs step=, the training step.")
        if step < 0:
            raise ValueError(f"step counts from 0, it is {step}.")
        return min(1.0, step / self.ramp_steps)


def _one_each(values: Tensor, input: Tensor, what: str) -> Tensor:
    """``[B]``, which they must be: a mean over the batch would give each sample the others' share."""
    if values.shape != input.shape[:1]:
        raise ValueError(f"{what} one value for each sample, {list(input.shape[:1])}, not {list(values.shape)}.")
    return values
