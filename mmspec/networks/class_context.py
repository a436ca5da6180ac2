"""A UNet that looks at its class as at a text of one word."""

from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.networks.labels import one_hot
from mmspec.networks.unet import UNet


class ClassContextUNet(UNet):
    """A `UNet` whose context is the embedding of the class (Rombach et al. 2022, their models of ImageNet).

    Shape: x ``[B, in_channels, *spatial]``, c_noise ``[B]``, labels ``[B]`` or ``[B, num_classes]`` ->
    ``[B, out_channels, *spatial]``. Labels None, or a row of zeros, are the null class, which has an embedding too.

    Args:
        options: those of `UNet`, with ``num_classes``, without the null class, and ``context_channels``, of the
            embeddings, both above 0.

    Raises:
        ValueError: an argument, or the shape of x or labels, that does not fit.
        TypeError: an argument that `UNet` does not have.
    """

    @wraps(UNet.__init__)  # type: ignore[misc]
    def __init__(self, **options: Any) -> None:
        num_classes = options.get("num_classes", 0)
        super().__init__(**{**options, "num_classes": 0})
        if num_classes < 1 or self.context_channels < 1:
            raise ValueError(
                f"num_classes and context_channels must be 1 or more, got {num_classes} and {self.context_channels}"
            )
        self.num_classes, self.conditions = num_classes, {"labels": num_classes}
        self.embed_class = nn.Embedding(num_classes + 1, self.context_channels)  # the last row is the null class

    def forward(
        self, x: Tensor, c_noise: Tensor, labels: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """As `UNet.forward`; a context ``[B, L, context_channels]`` takes the place of the class."""
        return super().forward(x, c_noise, context=self._class_context(labels, x) if context is None else context)

    def _class_context(self, labels: Tensor | None, x: Tensor) -> Tensor:
        """``[B, 1, context_channels]``."""
        weight = self.embed_class.weight
        rows = weight.new_zeros(len(x), self.num_classes) if labels is None else one_hot(labels, self.num_classes)
        rows = rows.to(weight.dtype)
        return (torch.cat([rows, 1 - rows.sum(1, keepdim=True)], dim=1) @ weight)[:, None]
