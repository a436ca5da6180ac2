"""Spectrum-aware distillation: a student imitates a teacher most where the signal's spectrum is weak."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.spectral.derivatives import first_only, transformed
from mmspec.spectral.fourier import sum_over_spectrum
from mmspec.spectral.octaves import octaves_below_highest
from mmspec.spectral.signals import as_signal, spatial_axes


class DistillationTerms(NamedTuple):
    """The two terms of `SpectrumAwareDistillationLoss` without their weights, a value a sample.

    Attributes:
        spatial: ``[B]``, Eq. 10.
        frequency: ``[B]``, Eq. 11.
    """

    spatial: Tensor
    frequency: Tensor


class SpectrumAwareDistillationLoss(nn.Module):
    """``spatial sum_i ||X_T - X_S||_2^2 + frequency sum_i omega_i ||F[X_T] - F[X_S]||_2^2`` over pairs i of a teacher's
    X_T and a student's X_S.

    Diffusion Probabilistic Model Made Slim, Eq. 9 (without L_DDPM), 10 and 11. The pairs are the two outputs, compared
    as they are, and features of one spatial size (see `pairs_by_size`), of which a single 1x1 convolution brings the
    student's channels to the teacher's; it is trained with the student and of no use afterwards.

    ``omega_i = |F[resize(x0)]|^alpha`` weighs each frequency of each sample, alike for all channels. What the paper
    leaves open is read so:

    - x0 is resized to the size of the pair by means over areas (`torch.nn.functional.adaptive_avg_pool2d`);
    - F is orthonormal, so that with omega = 1 the frequency term is the spatial one (Parseval's theorem);
    - |F| is the mean amplitude over x0's channels;
    - amplitudes are floored at ``floor`` times their mean over all frequencies of the sample, as alpha < 0 would put
      any weight on a frequency that happens to be missing; where x0 is silent all frequencies weigh alike;
    - omega has mean 1 over all frequencies of the full spectrum, for each sample: the term's scale follows neither the
      contrast of x0 nor alpha.

    Args:
        channels: ``(student's, teacher's)`` channels of each pair of features.
        dims: spatial axes of the features, 1 or 2.
        spatial: weight lambda_s; 0 switches the term off.
        frequency: weight lambda_f; 0 switches the term off.
        alpha: exponent of the amplitudes: -1 favours rare, weak frequencies, 0 weighs all alike.
        floor: least amplitude, as a share of the mean amplitude; above 0.
        octaves: of x0, counted down from the highest, 1: the frequency term compares them alone, each frequency weighed
            as among all; none for all frequencies.
        reduction: "none" for a value a sample ``[B]``, the sum over pairs of means over their elements; "mean" for
            their mean over the batch; "sum" for sums over all elements and the batch, the equations' norms.

    Shape:
        outputs and x0 ``[B, C, T]`` or ``[B, C, H, W]``, features ``[B, channels, *their size]``.

    Gradients reach the student's tensors and the 1x1 convolutions, never the teacher's tensors or x0. Everything is
    computed in float32, also under autocast; a loss that was made ``.double()`` takes float64.

    Raises:
        ValueError: for an option that is out of its range.

    Example:
        >>> loss = SpectrumAwareDistillationLoss(channels=[(32, 128), (16, 64)])
        >>> loss(student_output, teacher_output, x0, student_features, teacher_features).backward()
    """

    def __init__(
        self,
        channels: Sequence[tuple[int, int]] = (),
        dims: int = 2,
        spatial: float = 0.1,
        frequency: float = 0.1,
        alpha: float = -1.0,
        floor: float = 0.01,
        octaves: Sequence[int] = (),
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if dims not in (1, 2):
            raise ValueError(f"dims must be 1 or 2, not {dims}.")
        if spatial < 0 or frequency < 0:
            raise ValueError(f"spatial and frequency must be 0 or more, not {spatial} and {frequency}.")
        if not math.isfinite(alpha):
            raise ValueError(f"alpha must be finite, not {alpha}.")
        if not floor > 0:
            raise ValueError(f"floor must be above 0, not {floor}.")
        if any(octave < 1 for octave in octaves):
            raise ValueError(f"octaves are counted down from the highest, 1, not {list(octaves)}.")
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}.')
        self.spatial, self.frequency, self.alpha, self.floor = spatial, frequency, alpha, floor
        self.octaves, self.reduction = tuple(octaves), reduction
        convolution = nn.Conv1d if dims == 1 else nn.Conv2d
        self.align = nn.ModuleList(convolution(student, teacher, 1) for student, teacher in channels)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        x0: Tensor,
        features: Sequence[Tensor] = (),
        target_features: Sequence[Tensor] = (),
    ) -> Tensor:
        """The weighted sum of both terms: ``[]``, or ``[B]`` with ``reduction="none"``.

        Arguments and errors as for `terms`.
        """
        terms = self.terms(input, target, x0, features, target_features)
        values = self.spatial * terms.spatial + self.frequency * terms.frequency
        if self.reduction == "none":
            return values
        return values.mean() if self.reduction == "mean" else values.sum()

    def terms(
        self,
        input: Tensor,
        target: Tensor,
        x0: Tensor,
        features: Sequence[Tensor] = (),
        target_features: Sequence[Tensor] = (),
    ) -> DistillationTerms:
        """Both terms without their weights; one that is switched off is 0.

        Args:
            input: the student's output.
            target: the teacher's output, same shape.
            x0: the clean signal.
            features: the student's, a tensor for each pair of ``channels``.
            target_features: the teacher's, of the same spatial sizes.

        Raises:
            ValueError: if the tensors of a pair do not fit each other, there are more or fewer than was said, or a
                signal has not one or two spatial axes.
            TypeError: if a tensor is not floating point.
        """
        self._check(input, target, features, target_features)
        with torch.autocast(input.device.type, enabled=False):
            output, x0 = as_signal(input), as_signal(x0.detach())
            pairs = [(output, as_signal(target.detach()))]
            for align, ours, theirs in zip(self.align, features, target_features, strict=True):
                pairs.append((align(as_signal(ours)), as_signal(theirs.detach())))
            zero = output.new_zeros(len(output))
            spatial, frequency, weights = zero, zero, {}
            for ours, theirs in pairs:
                difference = theirs - ours
                size = difference.shape[2:]
                if self.frequency and size not in weights:
                    weights[size] = self.omega(x0, size)
                scale = 1.0 if self.reduction == "sum" else 1 / difference[0].numel()
                measure = _energies if transformed() else _Energies.apply
                plain, weighted = measure(difference, weights.get(size))
                spatial = spatial + scale * plain
                frequency = frequency + scale * weighted
        return DistillationTerms(spatial if self.spatial else zero, frequency if self.frequency else zero)

    def omega(self, x0: Tensor, size: Sequence[int]) -> Tensor:
        """The weights of frequencies at a size: the half that `torch.fft.rfftn` computes, ``[B, 1, *half]``.

        Args:
            x0: clean signal, ``[B, C, *spatial]``, float32 or float64.
            size: spatial size of a pair.
        """
        pool: Callable[..., Tensor] = F.adaptive_avg_pool1d if len(size) == 1 else F.adaptive_avg_pool2d
        resized = x0 if x0.shape[2:] == torch.Size(size) else pool(x0, tuple(size))
        amplitude = torch.fft.rfftn(resized, dim=spatial_axes(resized), norm="ortho").abs().mean(1, keepdim=True)
        mean = _mean_over_spectrum(amplitude, size)
        relative = torch.where(mean > 0, amplitude / mean, torch.ones_like(amplitude))
        weight = relative.clamp_min(self.floor) ** self.alpha
        weight = weight / _mean_over_spectrum(weight, size)
        if not self.octaves:
            return weight
        octave = octaves_below_highest(tuple(size), tuple(x0.shape[2:]), weight.device)
        return weight * torch.isin(octave, octave.new_tensor(self.octaves))

    def _check(
        self, input: Tensor, target: Tensor, features: Sequence[Tensor], target_features: Sequence[Tensor]
    ) -> None:
        if input.shape != target.shape:
            raise ValueError(f"input and target must have one shape, not {list(input.shape)} and {list(target.shape)}.")
        if not len(features) == len(target_features) == len(self.align):
            raise ValueError(
                f"expected {len(self.align)} pairs of features, as in channels, not {len(features)} of the student "
                f"and {len(target_features)} of the teacher."
            )
        for ours, theirs in zip(features, target_features, strict=True):
            if ours.shape[2:] != theirs.shape[2:]:
                raise ValueError(
                    f"features of a pair must have one size, not {list(ours.shape[2:])} of the student and "
                    f"{list(theirs.shape[2:])} of the teacher."
                )


def pairs_by_size(student: Sequence[Sequence[int]], teacher: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Which features are of one scale: for each spatial size that both networks have, the last feature of each.

    Args:
        student: shapes ``(channels, *size)`` of the student's features, in the order in which they are computed.
        teacher: the same of the teacher's.

    Returns:
        Pairs of indices ``(student's, teacher's)``, in the student's order.
    """
    last_student = {tuple(size): index for index, (_, *size) in enumerate(student)}
    last_teacher = {tuple(size): index for index, (_, *size) in enumerate(teacher)}
    return sorted((index, last_teacher[size]) for size, index in last_student.items() if size in last_teacher)


class _Energies(torch.autograd.Function):
    """``||d||^2`` and ``omega ||F[d]||^2`` of differences d, each ``[B]``; without omega the second is 0.

    The second is ``<d, F^-1 omega F d>``, as F is unitary: one transform forth, one back, and what comes back is half
    of the gradient. A pass through autograd would take the same transforms and many more passes over memory.
    """

    @staticmethod
    def forward(ctx: Any, difference: Tensor, omega: Tensor | None) -> tuple[Tensor, Tensor]:
        filtered = None if omega is None else _filtered(difference, omega)
        ctx.save_for_backward(difference, filtered)
        plain = torch.linalg.vecdot(difference.flatten(1), difference.flatten(1))
        if filtered is None:
            return plain, torch.zeros_like(plain)
        return plain, torch.linalg.vecdot(difference.flatten(1), filtered.flatten(1))

    @staticmethod
    @first_only
    def backward(ctx: Any, by_plain: Tensor, by_weighted: Tensor) -> tuple[Tensor, None]:
        difference, filtered = ctx.saved_tensors
        each = (-1, *(1,) * (difference.ndim - 1))
        gradient = 2 * by_plain.view(each) * difference
        return gradient if filtered is None else gradient.addcmul_(2 * by_weighted.view(each), filtered), None


def _energies(difference: Tensor, omega: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same as a function of torch's own."""
    plain = torch.linalg.vecdot(difference.flatten(1), difference.flatten(1))
    if omega is None:
        return plain, torch.zeros_like(plain)
    return plain, torch.linalg.vecdot(difference.flatten(1), _filtered(difference, omega).flatten(1))


def _filtered(x: Tensor, omega: Tensor) -> Tensor:
    """``F^-1 omega F x``; omega is the half that a real transform computes."""
    axes = spatial_axes(x)
    half = torch.fft.rfftn(x, dim=axes, norm="ortho").mul_(omega)
    filtered: Tensor = torch.fft.irfftn(half, s=x.shape[2:], dim=axes, norm="ortho")
    return filtered


def _mean_over_spectrum(half: Tensor, size: Sequence[int]) -> Tensor:
    """``[B, 1, *half]`` -> ``[B, 1, *1]``."""
    mean = sum_over_spectrum(half, size) / math.prod(size)
    return mean.reshape(*mean.shape, *[1] * len(size))
