"""The layers of the LDM/ADM family of UNets, for signals ``[B, C, *spatial]`` of one or two dimensions.

Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", and Rombach et al. 2022, "High-Resolution
Image Synthesis with Latent Diffusion Models", whose arithmetic they follow number for number.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.dropout import Dropout


def conv(dims: int, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Module:
    """A 1D or 2D convolution with "same" zero padding."""
    layer = {1: nn.Conv1d, 2: nn.Conv2d}[dims]
    return layer(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)


def group_norm(channels: int, group_channels: int, eps: float = 1e-5) -> nn.GroupNorm:
    """GroupNorm with the largest power of two of groups, up to 32, that leaves each ``group_channels`` or more.

    A group of one channel would subtract the time embedding that was just added to it (one number a channel).
    """
    groups = [g for g in (1, 2, 4, 8, 16, 32) if channels % g == 0 and channels >= g * group_channels]
    return nn.GroupNorm(max(groups, default=1), channels, eps=eps)


def head_count(channels: int, head_channels: int, num_heads: int = 0) -> int:
    """How many heads attention of this width has: ``num_heads``, or by ``head_channels`` where that is 0 (one at
    least).
    """
    heads = num_heads or max(1, channels // head_channels)
    if channels % heads:
        change = "num_heads" if num_heads else "head_channels"
        raise ValueError(f"{channels} channels do not split into {heads} heads: change {change}")
    return heads


def zeroed(layer: nn.Module) -> nn.Module:
    """``layer`` with all parameters 0, so that a residual branch begins as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def sinusoid(c_noise: Tensor, channels: int) -> Tensor:
    """``[B]`` -> ``[B, channels]``: cosines, then sines, of ``c_noise`` at frequencies from 1 down to 1/10000 rad."""
    c_noise = c_noise.to(torch.promote_types(c_noise.dtype, torch.float32))
    half = channels // 2
    steps = torch.arange(half, dtype=c_noise.dtype, device=c_noise.device)
    angles = c_noise[:, None] * torch.exp(steps * (-math.log(10000) / half))
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, channels % 2))


class ResidualBlock(nn.Module):
    """Norm, SiLU, conv, twice, around which x is carried; in between the embedding is added, before the second norm,
    or with ``scale_shift`` scales and shifts what that norm puts out, its first half the scale.

    Shape: x ``[B, in_channels, *spatial]``, embedding ``[B, embed_channels]`` (after its SiLU) ->
    ``[B, out_channels, *spatial]``.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        embed_channels: int,
        dropout: float = 0.0,
        group_channels: int = 4,
        scale_shift: bool = False,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.norm1 = group_norm(in_channels, group_channels)
        self.conv1 = conv(dims, in_channels, out_channels)
        self.embed = nn.Linear(embed_channels, 2 * out_channels if scale_shift else out_channels)
        self.norm2 = group_norm(out_channels, group_channels)
        self.dropout = Dropout(dropout)
        self.conv2 = zeroed(conv(dims, out_channels, out_channels))
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else conv(dims, in_channels, out_channels, kernel_size=1)
        self.resize: nn.Module = nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h, x = self.resize(F.silu(self.norm1(x))), self.resize(x)
        h = self.conv1(h)
        embedded = self.embed(embedding)[(..., *[None] * (h.ndim - 2))]
        if self.scale_shift:
            scale, shift = embedded.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + embedded)
        out: Tensor = self.skip(x) + self.conv2(self.dropout(F.silu(h)))
        return out


class ResidualDown(ResidualBlock):
    """A residual block, within and around which pairs of samples are averaged: ``*spatial`` -> ``*(n / 2)``."""

    def __init__(self, channels: int, dims: int, embed_channels: int, **options: Any) -> None:
        super().__init__(dims, channels, channels, embed_channels, **options)
        self.resize = {1: nn.AvgPool1d, 2: nn.AvgPool2d}[dims](2)


class ResidualUp(ResidualBlock):
    """A residual block, within and around which samples are repeated: ``*spatial`` -> ``*(2 n)``."""

    def __init__(self, channels: int, dims: int, embed_channels: int, **options: Any) -> None:
        super().__init__(dims, channels, channels, embed_channels, **options)
        self.resize = nn.Upsample(scale_factor=2, mode="nearest")


class ConvDown(nn.Sequential):
    """Half the size by a 3x3 convolution with stride 2: ``[B, channels, *spatial]`` ->
    ``[B, channels, *ceil(n / 2)]``.
    """

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__(conv(dims, channels, channels, stride=2))


class ConvUp(nn.Sequential):
    """Twice the size by repeated samples, then a 3x3 convolution: ``[B, channels, *spatial]`` -> ``[..., *(2 n)]``."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2, mode="nearest"), conv(dims, channels, channels))


class SelfAttention(nn.Module):
    """Multi-head self-attention over all positions, around which x is carried.

    Shape: ``[B, channels, *spatial]`` -> the same. ``qkv`` puts out [head][q, k, v][channel].
    """

    def __init__(self, channels: int, heads: int, group_channels: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = group_norm(channels, group_channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4).unbind(0)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = x + self.proj(h).transpose(1, 2).reshape(x.shape)
        return out
