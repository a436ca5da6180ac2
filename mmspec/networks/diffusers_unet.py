"""UNets of the diffusers library as they are: its arithmetic, its names of weights."""

import importlib
import inspect
from typing import Any

from torch import Tensor, nn

from mmspec.errors import InputError
from mmspec.networks.folding import crop, pad_to_multiple
from mmspec.networks.labels import one_hot
from mmspec.networks.network import Network
from mmspec.strangers import clipped, shown

MODELS = {"UNet2DModel": 2, "UNet1DModel": 1}  # and the axes of their signals


class DiffusersUNet(Network):
    """``UNet2DModel`` or ``UNet1DModel`` of the library diffusers, which it needs: ``pip install 'mmspec[diffusers]'``.

    A size that the levels do not divide is padded at its far end, and the output cropped.

    Args:
        model: "UNet2DModel" or "UNet1DModel".
        options: arguments of its constructor, as its config.json has them.

    Shape:
        x ``[B, in_channels, *spatial]``, c_noise ``[B]`` (timesteps), labels ``[B]`` or ``[B, num_class_embeds]``,
        where None and rows of zeros are no class -> ``[B, out_channels, *spatial]``.

    Raises:
        InputError: without the library; for another model, options that it does not take, or classes that it embeds
            otherwise than by a table.
    """

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        if model not in MODELS:
            raise InputError(f"model must be one of {', '.join(MODELS)}, not {model!r}.")
        classes = options.get("num_class_embeds") or 0
        super().__init__(labels=classes)
        self.dims = MODELS[model]
        self.model = _build(model, options)
        self.num_classes = classes
        if classes:
            self.model.class_embedding = _Rows(classes, self.model.class_embedding.embedding_dim)
        config = self.model.config
        self.in_channels, self.out_channels = config["in_channels"], config["out_channels"]
        self.multiple = 2 ** (len(config["down_block_types"]) - (self.dims == 2))

    def forward(self, x: Tensor, c_noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """x ``[B, in_channels, *spatial]`` at timesteps c_noise ``[B]`` -> ``[B, out_channels, *spatial]``."""
        told = {}
        if self.num_classes:
            hidden = x.new_zeros(len(x), self.num_classes)
            told["class_labels"] = hidden if labels is None else one_hot(labels, self.num_classes)
        raw: Tensor = self.model(pad_to_multiple(x, self.multiple), c_noise, return_dict=False, **told)[0]
        return crop(raw, x.shape[2:])

    def blocks(self) -> list[nn.Module]:
        return [*self.model.down_blocks, *filter(None, [self.model.mid_block]), *self.model.up_blocks]

    def level_ends(self) -> list[nn.Module]:
        """The last block of each level of a ``UNet2DModel`` on the way up, ``[B, channels, H, W]``.

        Raises:
            ValueError: for a ``UNet1DModel``, whose levels change size within their blocks.
        """
        if self.dims != 2:
            return super().level_ends()
        return [(getattr(block, "attentions", None) or block.resnets)[-1] for block in self.model.up_blocks]


class _Rows(nn.Embedding):
    """A table of classes that is told rows, so that none may be told: ``[B, classes]`` -> ``[B, width]``."""

    def forward(self, input: Tensor) -> Tensor:
        return input.to(self.weight.dtype) @ self.weight


def _build(name: str, options: dict[str, Any]) -> Any:
    try:
        made = getattr(importlib.import_module("diffusers"), name)
    except ImportError:
        raise InputError(
            f"{name} is a network of the library diffusers, which is not installed: pip install 'mmspec[diffusers]'."
        ) from None
    unknown = options.keys() - inspect.signature(made).parameters.keys()
    if unknown:
        raise InputError(
            f"{name} of this version of diffusers takes no {clipped(', '.join(sorted(unknown)))}: remove what changes "
            "nothing, or install the version that saved it."
        )
    if (kind := options.get("class_embed_type")) is not None:
        raise InputError(
            f"{name} has class_embed_type={shown(kind)}: mmspec tells classes to a table (num_class_embeds) alone."
        )
    try:
        return made(**options)
    except Exception as error:
        raise InputError(
            f"{name} of diffusers refuses its options ({clipped(' '.join(str(error).split()))})."
        ) from None
