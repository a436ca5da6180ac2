"""Class labels in the one form that networks work with."""

import torch
import torch.nn.functional as F
from torch import Tensor


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Classes ``[B]`` of an integer type, or rows ``[B, num_classes]``, which stay -> rows ``[B, num_classes]``.

    Raises:
        ValueError: for another shape or type, and, on the CPU, for a class out of range. On a GPU to look would be to
            wait; the scatter's own check must do.
    """
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        return labels
    if labels.ndim != 1 or labels.is_floating_point():
        raise ValueError(
            f"labels are classes [B] of an integer type or one-hot rows [B, {num_classes}], "
            f"got {list(labels.shape)} of {labels.dtype}"
        )
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = labels.aminmax()
        if low < 0 or high >= num_classes:
            raise ValueError(f"labels run from 0 to {num_classes - 1}, got {int(low)} to {int(high)}")
    return F.one_hot(labels.long(), num_classes)
