"""Which class each sample is drawn from."""

import torch
from torch import Tensor

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError


def choose_labels(denoiser: Denoiser, wanted: str | int, num: int) -> Tensor | None:
    """One-hot labels ``[num, classes]`` float32, or None for a denoiser without classes.

    Args:
        wanted: "balanced" for all classes in turn, "none" for unconditional, a class's name or its number.

    Raises:
        InputError: if the denoiser has no such class.
    """
    classes = denoiser.classes
    if not classes:
        if wanted in ("balanced", "none"):
            return None
        raise InputError(f"labels={wanted}: this denoiser was trained without classes; leave labels out.")
    if wanted == "none":
        return torch.zeros(num, len(classes))
    if wanted == "balanced":
        return balanced_labels(denoiser, num)
    names = {name: index for index, name in enumerate(classes)} | {str(i): i for i in range(len(classes))}
    if str(wanted) not in names:
        raise InputError(
            f"labels={wanted} is no class: expected balanced, none, a number from 0 to {len(classes) - 1}, "
            f"or one of {', '.join(classes[:12])}{' ...' if len(classes) > 12 else ''}."
        )
    return _one_hot(torch.full((num,), names[str(wanted)]), len(classes))


def balanced_labels(denoiser: Denoiser, num: int) -> Tensor | None:
    """One-hot labels of all classes in turn; None for a denoiser without classes."""
    return _one_hot(torch.arange(num) % len(denoiser.classes), len(denoiser.classes)) if denoiser.classes else None


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()
