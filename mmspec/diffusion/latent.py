"""Between signals and the latents that a denoiser works on: latent diffusion (Rombach et al. 2022)."""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from mmspec.errors import InputError
from mmspec.networks import FirstStage

DECODED_AT_ONCE = 8  # latents; a decoder needs far more memory than the denoiser before it


class LatentSpace(nn.Module):
    """Signals to latents and back, by a frozen first stage; without one, latents are the signals themselves.

    The first stage moves with this module and is none of its submodules: nothing trains, averages, copies or
    synchronizes its weights.

    Args:
        signal_shape: ``(C, *spatial)`` of the signals.
        first_stage: or None.

    Raises:
        InputError: if the first stage does not take signals of this shape, or would not give them back as large.
    """

    def __init__(self, signal_shape: Sequence[int] | None, first_stage: FirstStage | None = None) -> None:
        super().__init__()
        self.signal_shape = tuple(signal_shape) if signal_shape is not None else None
        self._beside = () if first_stage is None else (first_stage.eval().requires_grad_(False),)
        if first_stage is not None:
            self._check(first_stage)

    def _check(self, first_stage: FirstStage) -> None:
        if self.signal_shape is None:
            raise InputError("a denoiser with a first stage needs the shape of its signals: give signal_shape.")
        channels, *spatial = self.signal_shape
        wanted, factor = (first_stage.in_channels, first_stage.dims), first_stage.factor
        if (channels, len(spatial)) != wanted or any(size % factor for size in spatial):
            raise InputError(
                f"the first stage takes signals of {wanted[0]} channels and {wanted[1]} axes that {factor} divides, "
                f"not {list(self.signal_shape)}: prepare the data for it."
            )

    @property
    def first_stage(self) -> FirstStage | None:
        """The frozen first stage."""
        return self._beside[0] if self._beside else None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape ``(C, *spatial)`` of what the network works on."""
        if self.first_stage is None or self.signal_shape is None:
            return self.signal_shape
        return self.first_stage.latent_shape(self.signal_shape)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Clean signals as the network sees them.

        Args:
            x: signals ``[B, *signal_shape]``, or the moments of their latents that `FirstStage.moments` made of them
                before.

        Returns:
            ``[B, *latent_shape]``, drawn at random where the first stage knows a distribution of latents.

        Raises:
            ValueError: for another shape.
        """
        if self.first_stage is None:
            return x
        if tuple(x.shape[1:]) == self.signal_shape:
            return self.first_stage.encode(x)
        moments = (self.first_stage.moment_channels, *(self.shape or ())[1:])
        if tuple(x.shape[1:]) != moments:
            raise ValueError(
                f"expected signals {list(self.signal_shape or ())} or moments of latents {list(moments)}, got "
                f"{list(x.shape[1:])}."
            )
        return self.first_stage.draw(x)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Signals ``[B, *signal_shape]`` of what the network made, ``[B, *latent_shape]``."""
        if self.first_stage is None:
            return z
        z = z.to(next(self.first_stage.parameters()).dtype)
        return torch.cat([self.first_stage.decode(part) for part in torch.split(z, DECODED_AT_ONCE)])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        for first_stage in self._beside:
            first_stage._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
