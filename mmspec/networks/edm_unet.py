"""DDPM++, NCSN++ and ADM as EDM trained and released them, key for key.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models"; the architectures are those of
Song et al. 2021 (``model_type="SongUNet"``) and Dhariwal and Nichol 2021 (``model_type="DhariwalUNet"``).
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.dropout import Dropout
from mmspec.networks.edm_layers import FourierEmbedding, PositionalEmbedding, UNetBlock, group_norm, silu
from mmspec.networks.edm_levels import FAMILIES, Levels, role
from mmspec.networks.folding import crop, pad_to_multiple
from mmspec.networks.labels import one_hot
from mmspec.networks.network import Network
from mmspec.networks.ranges import check_ranges

CHOICES = {
    "model_type": tuple(FAMILIES),
    "embedding_type": ("positional", "fourier"),
    "encoder_type": ("standard", "skip", "residual"),
    "decoder_type": ("standard", "skip"),
}
LEAST = {  # value of the arguments
    **dict.fromkeys(("img_resolution", "in_channels", "out_channels", "model_channels", "num_blocks"), 1),
    **dict.fromkeys(("channel_mult", "channel_mult_emb", "channel_mult_noise"), 1),
    **dict.fromkeys(("label_dim", "augment_dim"), 0),
}
SONG_OPTIONS = {  # of DDPM++ and NCSN++ alone, with their defaults
    "embedding_type": "positional",
    "channel_mult_noise": 1,
    "encoder_type": "standard",
    "decoder_type": "standard",
    "resample_filter": [1, 1],
}


class EDMUNet(Network):
    """The networks of EDM's checkpoints: arguments, parameters and buffers under the names that EDM gave them.

    DDPM++ is all defaults; NCSN++ has ``embedding_type="fourier"``, ``channel_mult_noise=2``,
    ``encoder_type="residual"``, ``resample_filter=(1, 3, 3, 1)``; ADM is ``model_type="DhariwalUNet"``.

    Shape: x ``[B, in_channels, H, W]``, c_noise ``[B]``, labels ``[B]`` or ``[B, label_dim]``, augment_labels
    ``[B, augment_dim]`` -> ``[B, out_channels, H, W]``. A size that the levels do not divide is padded at its far end
    by its last sample, and the output cropped.

    Args:
        img_resolution: height and width it is trained on, which name its levels.
        in_channels: of the image.
        out_channels: of the output; None is as many as come in.
        label_dim: number of classes; 0 for a network without class labels.
        augment_dim: length of the augmentation labels; 0 for none.
        model_channels: width that the others are multiples of; None is 128, for ADM 192.
        channel_mult: width of each level, as a multiple; None is (1, 2, 2, 2), for ADM (1, 2, 3, 4).
        channel_mult_emb: width of the embedding, as a multiple.
        num_blocks: blocks a level on the way down, one more on the way up; None is 4, for ADM 3.
        attn_resolutions: levels with self-attention; None is (16,), for ADM (32, 16, 8).
        dropout: in the blocks.
        label_dropout: share of samples whose class is hidden in training.
        embedding_type: of the noise level, "positional" or "fourier".
        channel_mult_noise: its width, as a multiple.
        encoder_type: "standard", or "skip" or "residual": how the image itself goes down beside the features.
        decoder_type: "standard", or "skip": an image goes up beside the features.
        resample_filter: taps of the low-pass for changes of size.
        model_type: "SongUNet" (DDPM++ and NCSN++) or "DhariwalUNet" (ADM, which has no use for the five before).
        dims: of the signal; there are only images.

    Raises:
        ValueError: an argument, or the shape of an input, that does not fit.
    """

    def __init__(
        self,
        img_resolution: int,
        in_channels: int = 3,
        out_channels: int | None = None,
        label_dim: int = 0,
        augment_dim: int = 0,
        model_channels: int | None = None,
        channel_mult: Sequence[int] | None = None,
        channel_mult_emb: int = 4,
        num_blocks: int | None = None,
        attn_resolutions: Sequence[int] | None = None,
        dropout: float = 0.1,
        label_dropout: float = 0.0,
        embedding_type: str = "positional",
        channel_mult_noise: int = 1,
        encoder_type: str = "standard",
        decoder_type: str = "standard",
        resample_filter: Sequence[float] = (1, 1),
        model_type: str = "SongUNet",
        dims: int = 2,
    ) -> None:
        super().__init__(labels=label_dim, augment_labels=augment_dim)
        _check(self.config)
        family = FAMILIES[model_type]
        model_channels = family.model_channels if model_channels is None else model_channels
        channel_mult = family.channel_mult if channel_mult is None else channel_mult
        self.dims, self.adm = dims, model_type == "DhariwalUNet"
        self.in_channels, self.out_channels = in_channels, in_channels if out_channels is None else out_channels
        self.num_classes, self.label_dropout = label_dim, Dropout(label_dropout)
        self.multiple = 2 ** (len(channel_mult) - 1)  # of the sizes that need no padding

        self._add_mapping(model_channels * channel_mult_noise, model_channels * channel_mult_emb, augment_dim)
        levels = Levels(
            family,
            resolutions=[img_resolution >> level for level in range(len(channel_mult))],
            model_channels=model_channels,
            widths=[model_channels * mult for mult in channel_mult],
            num_blocks=family.num_blocks if num_blocks is None else num_blocks,
            attn_resolutions=family.attn_resolutions if attn_resolutions is None else attn_resolutions,
            taps=resample_filter,
            block=partial(
                UNetBlock,
                embed_channels=model_channels * channel_mult_emb,
                style=family.style,
                taps=resample_filter,
                dropout=dropout,
            ),
        )
        self.enc, skips = levels.encoder(in_channels, encoder_type)
        self.dec = levels.decoder(skips, self.out_channels, decoder_type)
        if self.adm:
            self.out_norm = group_norm(levels.widths[0], family.style.eps)
            self.out_conv = nn.Conv2d(levels.widths[0], self.out_channels, 3, padding=1)
        (_initialize_adm if self.adm else _initialize_song)(self)

    def _add_mapping(self, noise_channels: int, embed_channels: int, augment_dim: int) -> None:
        """The layers from noise levels and labels to the embedding, in the order of EDM's state dicts."""
        fourier = self.config["embedding_type"] == "fourier"
        self.map_noise = (
            FourierEmbedding(noise_channels) if fourier else PositionalEmbedding(noise_channels, endpoint=not self.adm)
        )
        self.map_label: nn.Linear | None = None
        if self.num_classes and not self.adm:
            self.map_label = nn.Linear(self.num_classes, noise_channels)
        self.map_augment = nn.Linear(augment_dim, noise_channels, bias=False) if augment_dim else None
        self.map_layer0 = nn.Linear(noise_channels, embed_channels)
        self.map_layer1 = nn.Linear(embed_channels, embed_channels)
        if self.num_classes and self.adm:
            self.map_label = nn.Linear(self.num_classes, embed_channels, bias=False)

    @classmethod
    def facts(cls, shape: Sequence[int], num_classes: int) -> dict[str, int]:
        channels, *spatial = shape
        return {
            "img_resolution": max(spatial),
            "in_channels": channels,
            "label_dim": num_classes,
            "dims": len(spatial),
        }

    def blocks(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, UNetBlock)]

    def level_ends(self) -> list[nn.Module]:
        last = {name.partition("_")[0]: layer for name, layer in self.dec.items() if role(name).startswith("block")}
        return list(last.values())

    def forward(
        self, x: Tensor, c_noise: Tensor, labels: Tensor | None = None, augment_labels: Tensor | None = None
    ) -> Tensor:
        """The raw output for x, already scaled by c_in, at noise labels ``c_noise``.

        ``labels`` are classes or one-hot rows; a row of zeros, or None, is unconditional. ``augment_labels`` say how
        each image was augmented; None is not at all.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"this EDMUNet takes x of shape [B, {self.in_channels}, H, W], got {list(x.shape)}")
        with torch.autocast(x.device.type, enabled=False):
            embedding = self._embedding(c_noise, labels, augment_labels)
        skips = self._encode(pad_to_multiple(x, self.multiple), embedding)
        return crop(self._decode(skips, embedding), x.shape[2:])

    def _embedding(self, c_noise: Tensor, labels: Tensor | None, augment_labels: Tensor | None) -> Tensor:
        """What all blocks are conditioned on: ``[B, embed_channels]``."""
        embedding = self.map_noise(c_noise)
        of_class = self._class_embedding(labels, embedding)
        if not self.adm:
            embedding = embedding.roll(embedding.shape[1] // 2, dims=1) + of_class  # here sines come first
        if augment_labels is not None:
            if self.map_augment is None:
                raise ValueError("this EDMUNet was built with augment_dim=0: leave augment_labels out")
            embedding = embedding + self.map_augment(augment_labels.to(embedding.dtype))
        embedding = self.map_layer1(F.silu(self.map_layer0(embedding)))
        return F.silu(embedding + of_class if self.adm else embedding)

    def _class_embedding(self, labels: Tensor | None, like: Tensor) -> Tensor | float:
        if self.map_label is None:
            if labels is not None:
                raise ValueError("this EDMUNet was built with label_dim=0: leave labels out")
            return 0.0
        rows = like.new_zeros(len(like), self.num_classes) if labels is None else one_hot(labels, self.num_classes)
        rows = rows.to(like.dtype)
        rows = rows * (self.label_dropout(torch.ones_like(rows[:, :1])) > 0)
        out: Tensor | float = self.map_label(rows if self.adm else rows * math.sqrt(self.num_classes))
        return out

    def _encode(self, x: Tensor, embedding: Tensor) -> list[Tensor]:
        """The way down: every skip connection, the last of which goes on."""
        skips: list[Tensor] = []
        image = h = x
        for name, layer in self.enc.items():
            match role(name):
                case "aux_down":
                    image = layer(image)
                case "aux_skip":
                    h = skips[-1] = h + layer(image)
                case "aux_residual":
                    h = skips[-1] = image = (h + layer(image)) * math.sqrt(0.5)
                case _:
                    h = layer(h, embedding) if isinstance(layer, UNetBlock) else layer(h)
                    skips.append(h)
        return skips

    def _decode(self, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """The way up, which takes the skip connections off the end of ``skips``, and the output."""
        h, image = skips[-1], None
        for name, layer in self.dec.items():
            match role(name):
                case "aux_up":
                    image = layer(image)
                case "aux_norm":
                    features = silu(layer(h))
                case "aux_conv":
                    image = layer(features) if image is None else image + layer(features)
                case "in0" | "in1" | "up":
                    h = layer(h, embedding)
                case _:
                    h = layer(torch.cat([h, skips.pop()], dim=1), embedding)
        out: Tensor = self.out_conv(silu(self.out_norm(h))) if image is None else image
        return out


def _check(config: dict[str, Any]) -> None:
    _check_values(config)
    for name, choices in CHOICES.items():
        if config[name] not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {config[name]!r}")
    idle = [name for name, default in SONG_OPTIONS.items() if config[name] != default]
    if config["model_type"] == "DhariwalUNet" and idle:
        raise ValueError(f"{idle[0]} is no option of DhariwalUNet: leave it out")
    halvings = len(config["channel_mult"] or FAMILIES[config["model_type"]].channel_mult) - 1
    if config["img_resolution"] % 2**halvings:
        raise ValueError(
            f"img_resolution={config['img_resolution']} cannot be halved {halvings} times, as the levels of "
            "channel_mult need"
        )


def _check_values(config: dict[str, Any]) -> None:
    check_ranges(config, LEAST)
    taps = config["resample_filter"]
    if len(taps) % 2 or not 0 < sum(taps) < math.inf:
        raise ValueError(f"resample_filter must have an even number of taps, whose sum is above 0, not {taps}")
    if config["dims"] != 2:
        raise ValueError(f"EDMUNet is for images, dims=2, not for dims={config['dims']}")


def _initialize_song(network: EDMUNet) -> None:
    """Xavier's uniform weights without biases; residual branches begin close to nothing."""
    gains = {"conv1": 1e-5, "proj": 1e-5, "aux_conv": 1e-5, "qkv": math.sqrt(0.2)}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, next((gains[end] for end in gains if name.endswith(end)), 1.0))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _initialize_adm(network: EDMUNet) -> None:
    """Torch's own initial weights, which are ADM's; residual branches and the output begin at nothing."""
    for name, layer in network.named_modules():
        if name.endswith(("conv1", "proj", "out_conv", "map_augment")):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
    if network.map_label is not None:
        nn.init.normal_(network.map_label.weight)
