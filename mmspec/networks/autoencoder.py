"""Encoder and decoder of the first stages of latent diffusion, for signals ``[B, C, *spatial]`` of one or two
dimensions.

Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis". Parameters have the names that CompVis's
checkpoints give them.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.layers import conv


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups; its epsilon is not that of the UNets."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Norm, SiLU, conv, twice, around which x is carried: ``[B, in_channels, *n]`` -> ``[B, out_channels, *n]``."""

    def __init__(self, dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = norm(in_channels)
        self.conv1 = conv(dims, in_channels, out_channels)
        self.norm2 = norm(out_channels)
        self.conv2 = conv(dims, out_channels, out_channels)
        if in_channels != out_channels:
            self.nin_shortcut = conv(dims, in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        out: Tensor = h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)
        return out


class AttnBlock(nn.Module):
    """Self-attention of one head over all positions, around which x ``[B, channels, *spatial]`` is carried."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (conv(dims, channels, channels, kernel_size=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).mT[:, None] for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)[:, 0].mT.reshape(x.shape)
        out: Tensor = x + self.proj_out(h)
        return out


class Downsample(nn.Module):
    """Half the size, rounded down, by a 3x3 convolution that looks at one zero beyond the far end of each axis:
    ``[B, channels, *n]`` -> ``[B, channels, *(n / 2)]``.
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = {1: nn.Conv1d, 2: nn.Conv2d}[dims](channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1) * (x.ndim - 2)))
        return out


class Upsample(nn.Module):
    """Twice the size by repeated samples, then a 3x3 convolution: ``[B, channels, *n]`` -> ``[..., *(2 n)]``."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.conv = conv(dims, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class Middle(nn.Module):
    """Two residual blocks, with attention between them or without: ``[B, channels, *n]`` -> the same."""

    def __init__(self, dims: int, channels: int, attends: bool) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(dims, channels, channels)
        self.attn_1 = AttnBlock(dims, channels) if attends else nn.Identity()
        self.block_2 = ResnetBlock(dims, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class Level(nn.Module):
    """Residual blocks of one width, each with attention where the level has it, then a change of size or none:
    ``[B, inputs[0], *n]`` -> ``[B, width, *m]``.
    """

    def __init__(self, dims: int, inputs: Sequence[int], width: int, attends: bool, **resizing: nn.Module) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(dims, channels, width) for channels in inputs)
        self.attn = nn.ModuleList(AttnBlock(dims, width) for _ in inputs if attends)
        for name, layer in resizing.items():
            self.add_module(name, layer)
        self.resizing = list(resizing)

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            x = self.attn[i](x) if self.attn else x
        for name in self.resizing:
            x = getattr(self, name)(x)
        return x


class Encoder(nn.Module):
    """``[B, in_channels, *n]`` -> ``[B, out_channels, *(n / 2**(levels - 1))]``, rounded down level by level."""

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        num_blocks: int,
        attention_levels: Sequence[int],
        middle_attention: bool,
    ) -> None:
        super().__init__()
        last = widths[0]
        self.conv_in = conv(dims, in_channels, last)
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            down = {"downsample": Downsample(dims, width)} if level < len(widths) - 1 else {}
            inputs = [last, *[width] * (num_blocks - 1)]
            self.down.append(Level(dims, inputs, width, level in attention_levels, **down))
            last = width
        self.mid = Middle(dims, last, middle_attention)
        self.norm_out = norm(last)
        self.conv_out = conv(dims, last, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
        out: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(h))))
        return out


class Decoder(nn.Module):
    """``[B, in_channels, *n]`` -> ``[B, out_channels, *(n 2**(levels - 1))]``; ``up[0]`` is the finest level, run
    last.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        num_blocks: int,
        attention_levels: Sequence[int],
        middle_attention: bool,
    ) -> None:
        super().__init__()
        last = widths[-1]
        self.conv_in = conv(dims, in_channels, last)
        self.mid = Middle(dims, last, middle_attention)
        levels = []
        for level, width in reversed(list(enumerate(widths))):
            up = {"upsample": Upsample(dims, width)} if level else {}
            inputs = [last, *[width] * num_blocks]
            levels.append(Level(dims, inputs, width, level in attention_levels, **up))
            last = width
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = norm(last)
        self.conv_out = conv(dims, last, out_channels)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        out: Tensor = self.conv_out(F.silu(self.norm_out(h)))
        return out
