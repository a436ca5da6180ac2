"""Tiny autoencoders: small convolutional networks that stand in for the first stage of a large latent diffusion model.

Ollin Boer Bohan 2023, "Tiny AutoEncoder for Stable Diffusion" (TAESD), and its kin for other models' latents (TAESD3,
TAEF1, TAEF2). Parameters have the names that its files give them, behind ``encoder.`` and ``decoder.``.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mmspec.networks.first_stage import FirstStage
from mmspec.networks.layers import conv

LARGEST = 3.0  # latents that the decoder tells apart are within plus and minus this
POOL_WIDTH, POOL_GROUPS = 4, 4


class Bounded(nn.Module):
    """``m tanh(x / m)``, in the shape of x: as it is near 0, and never above m = 3."""

    def forward(self, x: Tensor) -> Tensor:
        return LARGEST * torch.tanh(x / LARGEST)


class TinyBlock(nn.Module):
    """Three convolutions, around which x is carried: ``[B, channels, H, W]`` -> the same shape.

    Args:
        channels: of x.
        pooled: whether x has a term added before, of norms over the whole picture.
    """

    def __init__(self, channels: int, pooled: bool = False) -> None:
        super().__init__()
        first, second, third = (conv(2, channels, channels) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        if pooled:
            wide = POOL_WIDTH * channels
            into, out = nn.Conv2d(channels, wide, 1, bias=False), nn.Conv2d(wide, channels, 1, bias=False)
            self.pool = nn.Sequential(into, nn.GroupNorm(POOL_GROUPS, wide), nn.ReLU(), out)

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


class AutoencoderTiny(FirstStage):
    """A first stage of one width at all levels, whose latents are not drawn but made.

    Pictures are in [-1, 1] here; inside, as its weights want it, in [0, 1].

    Args:
        in_channels: of the pictures.
        channels: width of all levels.
        num_blocks: of each level of the encoder, the finest first; the decoder has the same.
        embed_channels: of the latents: 4 of TAESD, 16 of TAESD3 and TAEF1, 32 of TAEF2.
        pooled: whether the blocks of the coarsest level look at the whole picture, as TAEF2's do.
        scale_factor: latents are multiplied by it; 1, as they stand in for those that a denoiser sees.

    Raises:
        ValueError: an argument, or the shape of a picture, that does not fit.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 64,
        num_blocks: Sequence[int] = (1, 3, 3, 3),
        embed_channels: int = 4,
        pooled: bool = False,
        scale_factor: float = 1.0,
    ) -> None:
        if len(num_blocks) < 2 or min(*num_blocks, channels, in_channels, embed_channels) < 1:
            raise ValueError(
                "a tiny autoencoder needs two or more levels of one or more blocks, and one or more channels, got "
                f"num_blocks={list(num_blocks)} and {in_channels}, {channels}, {embed_channels} channels"
            )
        super().__init__(2, in_channels, embed_channels, embed_channels, 2 ** (len(num_blocks) - 1), scale_factor)
        self.encoder = nn.Sequential(*_encoder(in_channels, channels, num_blocks, embed_channels, pooled))
        self.decoder = nn.Sequential(*_decoder(embed_channels, channels, num_blocks[::-1], in_channels, pooled))

    def _moments(self, x: Tensor) -> Tensor:
        out: Tensor = self.encoder((x + 1) / 2)
        return out

    def draw(self, moments: Tensor, generator: Generator | None = None) -> Tensor:
        return self.scale_factor * moments

    def decode(self, z: Tensor) -> Tensor:
        out: Tensor = 2 * self.decoder(z / self.scale_factor) - 1
        return out

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """As of `FirstStage.latent_shape`, but rounded up: ``(embed_channels, *n)`` of pictures ``(C, H, W)``."""
        return (self.embed_channels, *(-(-size // self.factor) for size in shape[1:]))


def _encoder(
    in_channels: int, channels: int, num_blocks: Sequence[int], embed_channels: int, pooled: bool
) -> Iterator[nn.Module]:
    for level, blocks in enumerate(num_blocks):
        if level == 0:
            yield conv(2, in_channels, channels)
        else:
            yield nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        coarsest = level == len(num_blocks) - 1
        yield from (TinyBlock(channels, pooled and coarsest) for _ in range(blocks))
    yield conv(2, channels, embed_channels)


def _decoder(
    embed_channels: int, channels: int, num_blocks: Sequence[int], out_channels: int, pooled: bool
) -> Iterator[nn.Module]:
    yield from (Bounded(), conv(2, embed_channels, channels), nn.ReLU())
    for level, blocks in enumerate(num_blocks):
        yield from (TinyBlock(channels, pooled and level == 0) for _ in range(blocks))
        if level < len(num_blocks) - 1:
            yield nn.Upsample(scale_factor=2, mode="nearest")
            yield nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    yield conv(2, channels, out_channels)
