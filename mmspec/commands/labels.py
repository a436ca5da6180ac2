"""Which class each sample is drawn from."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError


def choose_classes(denoiser: Denoiser, wanted: str | int, num: int) -> Tensor | None:
    """The number of each sample's class, int64 ``[num]``, or None where none has one.

    Args:
        wanted: "balanced" for all classes in turn, "none" for unconditional, a class's name or its number.

    Raises:
        InputError: if the denoiser has no such class.
    """
    classes = denoiser.classes
    if wanted == "none" or (wanted == "balanced" and not classes):
        return None
    if not classes:
        raise InputError(f"labels={wanted}: this denoiser was trained without classes; leave labels out.")
    if wanted == "balanced":
        return torch.arange(num) % len(classes)
    numbers = {name: index for index, name in enumerate(classes)} | {str(i): i for i in range(len(classes))}
    if str(wanted) not in numbers:
        raise InputError(
            f"labels={wanted} is no class: expected balanced, none, a number from 0 to {len(classes) - 1}, "
            f"or one of {', '.join(classes[:12])}{' ...' if len(classes) > 12 else ''}."
        )
    return torch.full((num,), numbers[str(wanted)])


def rows(denoiser: Denoiser, chosen: Tensor) -> Tensor:
    """Classes ``[B]`` as one-hot rows ``[B, classes]`` float32, which guidance needs."""
    return F.one_hot(chosen, len(denoiser.classes or ())).float()


def balanced_labels(denoiser: Denoiser, num: int) -> Tensor | None:
    """One-hot rows of all classes in turn; None for a denoiser without classes."""
    chosen = choose_classes(denoiser, "balanced", num)
    return None if chosen is None else rows(denoiser, chosen)
