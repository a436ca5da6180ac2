"""The UNet of the LDM/ADM family, with convolutions or wavelet gating between its levels, in 1D and 2D."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.folding import crop, fold, pad_to_multiple, unfold
from mmspec.networks.gating import WaveletDown, WaveletUp
from mmspec.networks.layers import (
    ConvDown,
    ConvUp,
    ResidualBlock,
    ResidualDown,
    ResidualUp,
    SelfAttention,
    conv,
    group_norm,
    head_count,
    sinusoid,
    zeroed,
)
from mmspec.networks.network import Network
from mmspec.networks.ranges import check_ranges
from mmspec.networks.transformer import SpatialTransformer

LEAST = {  # value of the arguments
    **dict.fromkeys(("in_channels", "out_channels", "channel_mult", "num_blocks", "head_channels"), 1),
    **dict.fromkeys(("transformer_depth", "patch_size", "group_channels"), 1),
    **dict.fromkeys(("num_heads", "context_channels", "num_classes"), 0),
    "model_channels": 2,  # a sine and a cosine of the noise level
}
Resizing = Callable[[int], nn.Module]  # from channels to a layer that halves or doubles the size


class ResidualAttentionBlock(nn.Module):
    """A residual block, then attention where the level has it: on itself, and on the context where there is one.

    Shape: x ``[B, in_channels, *spatial]``, embedding ``[B, embed_channels]``, context ``[B, L, context_channels]`` ->
    ``[B, out_channels, *spatial]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        attends: bool,
        *,
        dims: int,
        embed_channels: int,
        dropout: float,
        head_channels: int,
        num_heads: int,
        context_channels: int,
        transformer_depth: int,
        group_channels: int,
        scale_shift: bool,
    ) -> None:
        super().__init__()
        self.residual = ResidualBlock(
            dims, in_channels, out_channels, embed_channels, dropout, group_channels, scale_shift
        )
        self.attention: nn.Module = nn.Identity()
        if attends:
            heads = head_count(out_channels, head_channels, num_heads)
            self.attention = (
                SpatialTransformer(dims, out_channels, context_channels, heads, transformer_depth, group_channels)
                if context_channels
                else SelfAttention(out_channels, heads, group_channels)
            )

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> Tensor:
        h = self.residual(x, embedding)
        out: Tensor = (
            self.attention(h, context) if isinstance(self.attention, SpatialTransformer) else self.attention(h)
        )
        return out


class Resampling(nn.ModuleList):
    """Layers in a row, each of which halves or doubles the size of x ``[B, channels, *spatial]``; none keeps it.
    Convolutions see no embedding ``[B, embed_channels]``.
    """

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for layer in self:
            x = layer(x) if isinstance(layer, ConvDown | ConvUp) else layer(x, embedding)
        return x


class EncoderLevel(nn.Module):
    """Blocks of one width, then the way down to the next level; shapes as of `ResidualAttentionBlock`."""

    def __init__(self, blocks: Sequence[ResidualAttentionBlock], down: Resampling) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.down = down

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor | None) -> list[Tensor]:
        """What every block, and the way down, put out: each is a skip connection, the last goes on."""
        outputs = []
        for block in self.blocks:
            x = block(x, embedding, context)
            outputs.append(x)
        return [*outputs, self.down(x, embedding)] if len(self.down) else outputs


class DecoderLevel(nn.Module):
    """Blocks of one width, each with a skip connection, then the way up to the next level; shapes as of
    `ResidualAttentionBlock`.
    """

    def __init__(self, blocks: Sequence[ResidualAttentionBlock], up: Resampling) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.up = up

    def forward(self, x: Tensor, skips: list[Tensor], embedding: Tensor, context: Tensor | None) -> Tensor:
        """Takes one skip connection a block, ``[B, channels, *spatial]``, off the end of ``skips``."""
        for block in self.blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding, context)
        out: Tensor = self.up(x, embedding)
        return out


class UNet(Network):
    """Residual blocks with a time embedding, attention at chosen levels, class labels, a context.

    Shape: x ``[B, in_channels, *spatial]``, c_noise ``[B]``, labels ``[B]`` or ``[B, num_classes]``, context
    ``[B, L, context_channels]`` -> ``[B, out_channels, *spatial]``. A size that the levels do not divide is padded at
    its far end by its last sample, and the output cropped.

    Args:
        dims: 1 for waveforms ``[B, C, T]``, 2 for images ``[B, C, H, W]``.
        in_channels: of the signal.
        out_channels: of the output; None is as many as come in.
        model_channels: width of the first level.
        channel_mult: width of each level in units of ``model_channels``; one level an entry.
        num_blocks: blocks a level on the way down; on the way up one more.
        attention_levels: levels with attention, 0 the finest; the middle always has it.
        head_channels: channels of an attention head; a layer narrower than that has one head.
        num_heads: heads at every width; 0 goes by ``head_channels``.
        context_channels: of the context, on which attention then looks too (`SpatialTransformer`); 0 for none.
        transformer_depth: transformer blocks in each of these.
        num_classes: 0 for a network without class labels.
        dropout: in the residual blocks.
        resample: "conv" (3x3 with stride 2; nearest and 3x3), "residual" (in a residual block, by means and nearest)
            or "wavelet" (`WaveletDown`, `WaveletUp`).
        wavelet: a discrete wavelet of PyWavelets, for ``resample="wavelet"``.
        reading: of the paper's wavelet gating: "paper" keeps the channels by 1x1 convolutions, which agrees with its
            tables; "literal" hands the channels of the inverse transform on, a quarter of them (1D: half) each time.
        gates_see_noise: the time embedding is added inside of the gates' networks, which see features alone otherwise.
        factors: by how much each change of level changes the size: a power of two, or one for each change. 4 is two
            halvings in a row, and with ``resample="wavelet"`` two levels of sub-bands.
        patch_size: blocks of so many samples (2D: so many by so many) become channels first; for long waveforms.
        group_channels: the least channels in a group of GroupNorm; 1 gives LDM's 32 groups at every width.
        scale_shift: the embedding scales and shifts what the second norm of a block puts out, in place of being added
            before it.

    Raises:
        ValueError: an argument, or the shape of x, labels or context, that does not fit.
    """

    def __init__(
        self,
        dims: int = 2,
        in_channels: int = 3,
        out_channels: int | None = None,
        model_channels: int = 64,
        channel_mult: Sequence[int] = (1, 2, 2),
        num_blocks: int = 2,
        attention_levels: Sequence[int] = (2,),
        head_channels: int = 32,
        num_heads: int = 0,
        context_channels: int = 0,
        transformer_depth: int = 1,
        num_classes: int = 0,
        dropout: float = 0.0,
        resample: str = "conv",
        wavelet: str = "haar",
        reading: str = "paper",
        gates_see_noise: bool = False,
        factors: int | Sequence[int] = 2,
        patch_size: int = 1,
        group_channels: int = 4,
        scale_shift: bool = False,
    ) -> None:
        super().__init__(labels=num_classes, context=context_channels)
        _check(self.config)
        self.dims, self.in_channels, self.num_classes = dims, in_channels, num_classes
        self.context_channels = context_channels
        self.out_channels = in_channels if out_channels is None else out_channels
        self.model_channels, self.patch_size = model_channels, patch_size
        factors = _one_each(factors, len(channel_mult) - 1)
        self.multiple = patch_size * math.prod(factors)  # of the sizes that need no padding

        widths = [model_channels * mult for mult in channel_mult]
        embed_channels = 4 * model_channels
        self.embed_time = nn.Sequential(
            nn.Linear(model_channels, embed_channels), nn.SiLU(), nn.Linear(embed_channels, embed_channels)
        )
        self.embed_label = nn.Embedding(num_classes, embed_channels) if num_classes else None
        residual: dict[str, Any] = {
            "dims": dims,
            "embed_channels": embed_channels,
            "dropout": dropout,
            "group_channels": group_channels,
            "scale_shift": scale_shift,
        }
        block: Callable[..., ResidualAttentionBlock] = partial(
            ResidualAttentionBlock,
            **residual,
            head_channels=head_channels,
            num_heads=num_heads,
            context_channels=context_channels,
            transformer_depth=transformer_depth,
        )
        down, up = _resizings(resample, wavelet, reading, residual, gates_see_noise)
        kept = 2**dims if (resample, reading) == ("wavelet", "literal") else 1  # one in so many channels, on the way up

        self.conv_in = conv(dims, in_channels * patch_size**dims, model_channels)
        last, skips = model_channels, [model_channels]
        self.encoder = nn.ModuleList()
        for level, (width, factor) in enumerate(zip(widths, [*factors, 1], strict=True)):
            inputs = [last, *[width] * (num_blocks - 1)]
            blocks = [block(channels, width, level in attention_levels) for channels in inputs]
            self.encoder.append(EncoderLevel(blocks, _in_a_row(down, width, factor)))
            skips += [width] * (num_blocks + (factor > 1))
            last = width

        self.middle = nn.ModuleList([block(last, last, True), block(last, last, False)])

        self.decoder = nn.ModuleList()
        for level, (width, factor) in reversed(list(enumerate(zip(widths, [1, *factors], strict=True)))):
            inputs = [channels + skips.pop() for channels in [last, *[width] * num_blocks]]
            blocks = [block(channels, width, level in attention_levels) for channels in inputs]
            self.decoder.append(DecoderLevel(blocks, _in_a_row(up, width, factor, kept)))
            last = width // kept ** (factor.bit_length() - 1)

        self.norm_out = group_norm(last, group_channels)
        self.conv_out = zeroed(conv(dims, last, self.out_channels * patch_size**dims))

    def blocks(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, ResidualAttentionBlock)]

    def level_ends(self) -> list[nn.Module]:
        return [level.blocks[-1] for level in self.decoder]  # type: ignore[misc, index]

    def forward(
        self, x: Tensor, c_noise: Tensor, labels: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """The raw output for x, already scaled by c_in, at noise labels ``c_noise``.

        ``labels`` are classes or one-hot rows; a row of zeros, or None, is unconditional; ``context`` are tokens, such
        as embeddings of a text, and are given just where the network has ``context_channels``. A class out of range is
        a ValueError on the CPU alone: on a GPU to look would be to wait, and the embedding's own check must do.
        """
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels:
            spatial = {1: "T", 2: "H, W"}[self.dims]
            raise ValueError(f"this UNet takes x of shape [B, {self.in_channels}, {spatial}], got {list(x.shape)}")
        self._check_context(context, x.shape[0])
        embedding = self.embed_time(sinusoid(c_noise, self.model_channels).to(x.dtype))
        if labels is not None:
            embedding = embedding + self._label_embedding(labels)
        embedding = F.silu(embedding)

        blocks = fold(pad_to_multiple(x, self.multiple), self.patch_size)
        skips = [self.conv_in(blocks.flatten(1, 2))]
        for level in self.encoder:
            skips += level(skips[-1], embedding, context)
        h = skips[-1]
        for block in self.middle:
            h = block(h, embedding, context)
        for level in self.decoder:
            h = level(h, skips, embedding, context)
        h = self.conv_out(F.silu(self.norm_out(h)))
        return crop(unfold(h.unflatten(1, (-1, self.out_channels)), self.patch_size), x.shape[2:])

    def _check_context(self, context: Tensor | None, batch: int) -> None:
        if context is None and self.context_channels:
            raise ValueError(f"this UNet looks at a context: give one of shape [B, L, {self.context_channels}]")
        if context is not None and not self.context_channels:
            raise ValueError("this UNet was built with context_channels=0: leave the context out")
        if context is not None and (context.ndim != 3 or context.shape[::2] != (batch, self.context_channels)):
            raise ValueError(
                f"this UNet takes a context of shape [{batch}, L, {self.context_channels}], got {list(context.shape)}"
            )

    def _label_embedding(self, labels: Tensor) -> Tensor:
        if self.embed_label is None:
            raise ValueError("this UNet was built with num_classes=0: leave labels out")
        if labels.ndim == 2 and labels.shape[1] == self.num_classes:
            weight = self.embed_label.weight
            return labels.to(weight.dtype) @ weight
        if labels.ndim != 1 or labels.is_floating_point():
            raise ValueError(
                f"labels are classes [B] of an integer type or one-hot rows [B, {self.num_classes}], "
                f"got {list(labels.shape)} of {labels.dtype}"
            )
        if labels.device.type == "cpu" and not torch.compiler.is_compiling():
            low, high = labels.aminmax()
            if low < 0 or high >= self.num_classes:
                raise ValueError(f"labels run from 0 to {self.num_classes - 1}, got {int(low)} to {int(high)}")
        out: Tensor = self.embed_label(labels)
        return out


def _check(config: dict[str, Any]) -> None:
    if config["dims"] not in (1, 2):
        raise ValueError(f"dims must be 1 or 2, got {config['dims']}")
    check_ranges(config, LEAST)
    levels, attends = len(config["channel_mult"]), config["attention_levels"]
    if not all(0 <= level < levels for level in attends):
        raise ValueError(f"attention_levels must lie in 0 to {levels - 1}, got {list(attends)}")


def _one_each(factors: int | Sequence[int], changes: int) -> list[int]:
    factors = [factors] * changes if isinstance(factors, int) else list(factors)
    if len(factors) != changes or any(factor < 2 or factor.bit_count() != 1 for factor in factors):
        raise ValueError(f"factors must be {changes} of 2, 4, 8, ..., one for each change of level, got {factors}")
    return factors


def _resizings(
    resample: str, wavelet: str, reading: str, residual: dict[str, Any], gates_see_noise: bool
) -> tuple[Resizing, Resizing]:
    """The layers that halve and double the size; ``residual``: options of the residual blocks."""
    dims, embed_channels = residual["dims"], residual["embed_channels"] if gates_see_noise else 0
    if resample == "conv":
        return partial(ConvDown, dims=dims), partial(ConvUp, dims=dims)
    if resample == "residual":
        return partial(ResidualDown, **residual), partial(ResidualUp, **residual)
    if resample == "wavelet":
        down, up = (
            partial(layer, dims=dims, wavelet=wavelet, reading=reading, embed_channels=embed_channels)
            for layer in (WaveletDown, WaveletUp)
        )
        return down, up
    raise ValueError(f'resample must be "conv", "residual" or "wavelet", got "{resample}"')


def _in_a_row(resizing: Resizing, channels: int, factor: int, kept: int = 1) -> Resampling:
    """As many of these layers as change the size by ``factor``; each puts out one in ``kept`` of its channels."""
    return Resampling(resizing(channels // kept**i) for i in range(factor.bit_length() - 1))
