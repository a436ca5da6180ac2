"""The ways down and up of EDM's networks, layer by layer, under the names of EDM's state dicts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from mmspec.networks.edm_layers import BlockStyle, FusedConvDown, Resample, UNetBlock, group_norm


@dataclass(frozen=True)
class Family:
    """What tells EDM's two architectures apart, besides how they are conditioned.

    Attributes:
        style: of the residual blocks.
        model_channels, channel_mult, num_blocks, attn_resolutions: defaults of `mmspec.networks.EDMUNet`.
        wide_start: the first convolution is as wide as the first level, not ``model_channels`` wide.
        attends_throughout: on the way up every block of a level in ``attn_resolutions`` attends, not the last alone.
        decodes_images: the way up ends with the image, not with features that layers outside of it make an image of.
    """

    style: BlockStyle
    model_channels: int
    channel_mult: tuple[int, ...]
    num_blocks: int
    attn_resolutions: tuple[int, ...]
    wide_start: bool
    attends_throughout: bool
    decodes_images: bool


FAMILIES = {
    "SongUNet": Family(  # DDPM++ and NCSN++
        style=BlockStyle(eps=1e-6, adaptive=False, skip_scale=math.sqrt(0.5), head_channels=None, skip_conv=True),
        model_channels=128,
        channel_mult=(1, 2, 2, 2),
        num_blocks=4,
        attn_resolutions=(16,),
        wide_start=False,
        attends_throughout=False,
        decodes_images=True,
    ),
    "DhariwalUNet": Family(  # ADM
        style=BlockStyle(eps=1e-5, adaptive=True, skip_scale=1.0, head_channels=64, skip_conv=False),
        model_channels=192,
        channel_mult=(1, 2, 3, 4),
        num_blocks=3,
        attn_resolutions=(32, 16, 8),
        wide_start=True,
        attends_throughout=True,
        decodes_images=False,
    ),
}


@dataclass(frozen=True)
class Levels:
    """What both ways are built from, level 0 the finest.

    Attributes:
        family: the architecture.
        resolutions: height and width of each level, which names its layers.
        model_channels: width of the first convolution, unless the family has a wide start.
        widths: of each level.
        num_blocks: blocks a level on the way down, one more on the way up.
        attn_resolutions: levels with self-attention.
        taps: of the low-pass for changes of size.
        block: makes a block from its widths and `UNetBlock`'s ``attends`` and ``direction``.
    """

    family: Family
    resolutions: Sequence[int]
    model_channels: int
    widths: Sequence[int]
    num_blocks: int
    attn_resolutions: Sequence[int]
    taps: Sequence[float]
    block: Callable[..., UNetBlock]

    def encoder(self, in_channels: int, encoder_type: str) -> tuple[nn.ModuleDict, list[int]]:
        """The layers of the way down by name, and the width of each skip connection."""
        layers = nn.ModuleDict()
        last, image = self.widths[0] if self.family.wide_start else self.model_channels, in_channels
        skips = [last]
        for level, (resolution, width) in enumerate(zip(self.resolutions, self.widths, strict=True)):
            name = f"{resolution}x{resolution}"
            if level == 0:
                layers[f"{name}_conv"] = nn.Conv2d(in_channels, last, 3, padding=1)
            else:
                layers[f"{name}_down"] = self.block(last, last, direction="down")
                skips.append(last)
                if encoder_type == "skip":
                    layers[f"{name}_aux_down"] = Resample("down", self.taps)
                    layers[f"{name}_aux_skip"] = nn.Conv2d(image, last, 1)
                if encoder_type == "residual":
                    layers[f"{name}_aux_residual"] = FusedConvDown(image, last, self.taps)
                    image = last
            for i in range(self.num_blocks):
                layers[f"{name}_block{i}"] = self.block(last, width, attends=resolution in self.attn_resolutions)
                last = width
                skips.append(last)
        return layers, skips

    def decoder(self, skips: Sequence[int], out_channels: int, decoder_type: str) -> nn.ModuleDict:
        """The layers of the way up by name, for skip connections of these widths."""
        layers, skips, last, lowest = nn.ModuleDict(), list(skips), self.widths[-1], len(self.widths) - 1
        for level in range(lowest, -1, -1):
            resolution, width = self.resolutions[level], self.widths[level]
            name = f"{resolution}x{resolution}"
            if level == lowest:
                layers[f"{name}_in0"] = self.block(last, last, attends=True)
                layers[f"{name}_in1"] = self.block(last, last)
            else:
                layers[f"{name}_up"] = self.block(last, last, direction="up")
            for i in range(self.num_blocks + 1):
                attends = resolution in self.attn_resolutions
                attends = attends and (self.family.attends_throughout or i == self.num_blocks)
                layers[f"{name}_block{i}"] = self.block(last + skips.pop(), width, attends=attends)
                last = width
            if self.family.decodes_images and (level == 0 or decoder_type == "skip"):
                if level != lowest and decoder_type == "skip":
                    layers[f"{name}_aux_up"] = Resample("up", self.taps)
                layers[f"{name}_aux_norm"] = group_norm(width, self.family.style.eps)
                layers[f"{name}_aux_conv"] = nn.Conv2d(width, out_channels, 3, padding=1)
        return layers


def role(name: str) -> str:
    """What a layer of this name is for: "aux_up" of "32x32_aux_up"."""
    return name.partition("_")[2]
