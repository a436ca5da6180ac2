"""The layers of EDM's networks, for images ``[B, C, H, W]``.

Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations" (DDPM++, NCSN++), and
Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis" (ADM), in the form that Karras et al. 2022,
"Elucidating the Design Space of Diffusion-Based Generative Models", trained and released. Parameters and buffers have
the names of those releases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.dropout import Dropout


class GroupNorm(nn.GroupNorm):
    """GroupNorm that trains in the precision of its weights: ``[B, channels, H, W]`` -> the same.

    Torch's kernel for weights and features of different precision takes four times as long backwards (channels_last
    on CPUs).
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == self.weight.dtype or not torch.is_grad_enabled():
            return super().forward(x)
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


def group_norm(channels: int, eps: float) -> GroupNorm:
    """GroupNorm with a group for every 4 channels, but at most 32.

    Raises:
        ValueError: if the channels do not split into so many groups.
    """
    groups = min(32, channels // 4)
    if not groups or channels % groups:
        raise ValueError(f"{channels} channels do not split into {max(groups, 1)} groups of 4 or more: change widths")
    return GroupNorm(groups, channels, eps=eps)


def silu(x: Tensor) -> Tensor:
    """SiLU of x ``[...]``, in place where no gradient has need of it."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


class PositionalEmbedding(nn.Module):
    """``[B]`` -> ``[B, channels]``: cosines, then sines, at frequencies from 1 down to 1/10000 rad, or just short of
    it.

    Args:
        channels: of the embedding, an even number.
        endpoint: the last frequency is 1/10000.
    """

    def __init__(self, channels: int, endpoint: bool) -> None:
        super().__init__()
        self.channels, self.endpoint = channels, endpoint

    def forward(self, c_noise: Tensor) -> Tensor:
        half = self.channels // 2
        steps = torch.arange(half, dtype=torch.float32, device=c_noise.device) / (half - self.endpoint)
        angles = c_noise.outer(((1 / 10000) ** steps).to(c_noise.dtype))
        return torch.cat([angles.cos(), angles.sin()], dim=1)


class FourierEmbedding(nn.Module):
    """``[B]`` -> ``[B, channels]``: cosines, then sines, at random frequencies that are saved with the weights.

    Args:
        channels: of the embedding, an even number.
        scale: standard deviation of the frequencies, in cycles.
    """

    freqs: Tensor

    def __init__(self, channels: int, scale: float = 16.0) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.randn(channels // 2) * scale)

    def forward(self, c_noise: Tensor) -> Tensor:
        angles = c_noise.outer((2 * math.pi * self.freqs).to(c_noise.dtype))
        return torch.cat([angles.cos(), angles.sin()], dim=1)


def resample_kernel(taps: Sequence[float]) -> Tensor:
    """The separable low-pass of unit sum with these taps along each axis: ``[1, 1, k, k]`` float32."""
    kernel = torch.tensor(taps, dtype=torch.float32)
    return (kernel.outer(kernel) / kernel.sum() ** 2)[None, None]


def downsample(x: Tensor, kernel: Tensor, padding: int | None = None) -> Tensor:
    """Low-pass, then every second sample: ``[B, C, H, W]`` -> ``[B, C, H / 2, W / 2]``."""
    padding = (kernel.shape[-1] - 1) // 2 if padding is None else padding
    channels = x.shape[1]
    return F.conv2d(x, kernel.to(x.dtype).expand(channels, -1, -1, -1), stride=2, padding=padding, groups=channels)


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Zeros in between, then four times the low-pass: ``[B, C, H, W]`` -> ``[B, C, 2 H, 2 W]``."""
    padding, channels = (kernel.shape[-1] - 1) // 2, x.shape[1]
    kernel = (4 * kernel).to(x.dtype).expand(channels, -1, -1, -1)
    return F.conv_transpose2d(x, kernel, stride=2, padding=padding, groups=channels)


RESAMPLE = {"down": downsample, "up": upsample}


class Resample(nn.Module):
    """Half or twice the size, without weights: ``[B, C, H, W]`` -> ``[B, C, H / 2, W / 2]`` or ``[B, C, 2 H, 2 W]``.

    Args:
        direction: "down" or "up".
        taps: of the low-pass along each axis.
    """

    resample_filter: Tensor

    def __init__(self, direction: str, taps: Sequence[float]) -> None:
        super().__init__()
        self.direction = direction
        self.register_buffer("resample_filter", resample_kernel(taps))

    def forward(self, x: Tensor) -> Tensor:
        return RESAMPLE[self.direction](x, self.resample_filter)


class ResamplingConv(nn.Conv2d):
    """Half or twice the size, then a convolution with "same" zero padding; arguments, and sizes, as of `Resample`.

    Shape: ``[B, in_channels, H, W]`` -> ``[B, out_channels, ...]``.
    """

    resample_filter: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, direction: str, taps: Sequence[float]
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.direction = direction
        self.register_buffer("resample_filter", resample_kernel(taps))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(RESAMPLE[self.direction](x, self.resample_filter))


class FusedConvDown(nn.Conv2d):
    """A 3x3 convolution, then half the size: NCSN++'s way down for the residual image.

    Shape: ``[B, in_channels, H, W]`` -> ``[B, out_channels, H / 2, W / 2]``.

    The low-pass sees what the convolution makes of the zeros around the image, hence not `ResamplingConv` reversed.
    """

    resample_filter: Tensor

    def __init__(self, in_channels: int, out_channels: int, taps: Sequence[float]) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1 + (len(taps) - 1) // 2)
        self.register_buffer("resample_filter", resample_kernel(taps))

    def forward(self, x: Tensor) -> Tensor:
        h = downsample(self._conv_forward(x, self.weight, None), self.resample_filter, padding=0)
        return h if self.bias is None else h + self.bias.to(h.dtype)[:, None, None]


@dataclass(frozen=True)
class BlockStyle:
    """How the residual blocks of DDPM++ and NCSN++ differ from those of ADM.

    Attributes:
        eps: of the group norms.
        adaptive: the embedding scales and shifts what the second norm puts out, instead of being added before it.
        skip_scale: factor of each sum of a branch and what it is carried around.
        head_channels: channels of an attention head; None for one head.
        skip_conv: a skip that changes the size always has a 1x1 convolution, also between equal widths.
    """

    eps: float
    adaptive: bool
    skip_scale: float
    head_channels: int | None
    skip_conv: bool


class UNetBlock(nn.Module):
    """Norm, SiLU, conv, twice, around which x is carried; then self-attention, around which it is carried too.

    Shape: x ``[B, in_channels, H, W]``, embedding ``[B, embed_channels]`` -> ``[B, out_channels, H, W]``, half or twice
    the size with a ``direction``.

    Args:
        in_channels, out_channels, embed_channels: widths.
        style: which architecture's block it is.
        attends: self-attention follows; not where the width is below one head's.
        direction: "down", "up" or None.
        taps: of the low-pass for the change of size.
        dropout: before the second convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embed_channels: int,
        style: BlockStyle,
        attends: bool = False,
        direction: str | None = None,
        taps: Sequence[float] = (1, 1),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.style, self.dropout = style, Dropout(dropout)
        self.heads = (out_channels // style.head_channels if style.head_channels else 1) if attends else 0
        if self.heads and out_channels % self.heads:
            raise ValueError(f"{out_channels} channels do not split into {self.heads} heads: change widths")

        def conv(kernel_size: int) -> nn.Conv2d:
            if direction is None:
                return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
            return ResamplingConv(in_channels, out_channels, kernel_size, direction, taps)

        self.norm0 = group_norm(in_channels, style.eps)
        self.conv0 = conv(3)
        self.affine = nn.Linear(embed_channels, out_channels * (1 + style.adaptive))
        self.norm1 = group_norm(out_channels, style.eps)
        self.conv1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels or (direction and style.skip_conv):
            self.skip = conv(1)
        elif direction:
            self.skip = Resample(direction, taps)
        if self.heads:
            self.norm2 = group_norm(out_channels, style.eps)
            self.qkv = nn.Conv2d(out_channels, 3 * out_channels, 1)
            self.proj = nn.Conv2d(out_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv0(silu(self.norm0(x)))
        affine = self.affine(embedding).to(h.dtype)[:, :, None, None]
        if self.style.adaptive:
            scale, shift = affine.chunk(2, dim=1)
            h = silu(torch.addcmul(shift, self.norm1(h), scale + 1))
        else:
            h = silu(self.norm1(h.add_(affine)))
        h = self.conv1(self.dropout(h))
        x = h.add_(self.skip(x)).mul_(self.style.skip_scale)
        return self.attention(x).add_(x).mul_(self.style.skip_scale) if self.heads else x

    def attention(self, x: Tensor) -> Tensor:
        """Self-attention over all positions: ``[B, channels, H, W]`` -> the same.

        ``qkv`` puts out [head][channel][q, k, v].
        """
        qkv = self.qkv(self.norm2(x)).flatten(2).unflatten(1, (self.heads, -1, 3))
        q, k, v = qkv.permute(3, 0, 1, 4, 2).contiguous().unbind(0)  # each [B, heads, H W, channels]
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.proj(torch.unflatten(h.transpose(1, 2), 2, x.shape[2:]))
        return out
