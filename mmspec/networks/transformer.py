"""The transformer that lets a UNet look at a context, such as the embeddings of a text.

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", appendix E.2.1, whose arithmetic
it follows number for number; here for signals ``[B, C, *spatial]`` of one or two dimensions.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.layers import conv, group_norm, zeroed


class CrossAttention(nn.Module):
    """Multi-head attention of tokens on a context; on themselves where the context is the tokens.

    Shape: tokens ``[B, N, channels]``, context ``[B, L, context_channels]`` -> ``[B, N, channels]``.
    """

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not split into {heads} heads")
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        q, k, v = (
            project.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.to_q(tokens), self.to_k(context), self.to_v(context))
        )
        out: Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class GEGLU(nn.Module):
    """A linear layer whose second half, through GELU, gates its first: ``[..., inputs]`` -> ``[..., outputs]``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        out: Tensor = value * F.gelu(gate)
        return out


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention, GEGLU, around each of which the tokens are carried.

    Shape: tokens ``[B, N, channels]``, context ``[B, L, context_channels]`` -> ``[B, N, channels]``.
    """

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = CrossAttention(channels, channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = CrossAttention(channels, context_channels, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.feed_forward = nn.Sequential(GEGLU(channels, 4 * channels), nn.Linear(4 * channels, channels))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attn1(normed, normed)
        tokens = tokens + self.attn2(self.norm2(tokens), context)
        out: Tensor = tokens + self.feed_forward(self.norm3(tokens))
        return out


class SpatialTransformer(nn.Module):
    """Transformer blocks over all positions of a signal, around which it is carried.

    Shape: x ``[B, channels, *spatial]``, context ``[B, L, context_channels]`` -> ``[B, channels, *spatial]``.
    """

    def __init__(
        self, dims: int, channels: int, context_channels: int, heads: int, depth: int = 1, group_channels: int = 4
    ) -> None:
        super().__init__()
        self.norm = group_norm(channels, group_channels, eps=1e-6)
        self.proj_in = conv(dims, channels, channels, kernel_size=1)
        self.blocks = nn.ModuleList(TransformerBlock(channels, context_channels, heads) for _ in range(depth))
        self.proj_out = zeroed(conv(dims, channels, channels, kernel_size=1))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.proj_in(self.norm(x))
        tokens = h.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, context)
        out: Tensor = x + self.proj_out(tokens.transpose(1, 2).reshape(h.shape))
        return out
