"""Hand-written derivatives: what they share."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad


def transformed() -> bool:
    """Whether `torch.func` (grad, vmap, jvp, ...) or forward mode is at work: they know derivatives of torch alone."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def first_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make the backward of an autograd function refuse second derivatives, instead of leaving its part out."""

    @functools.wraps(backward)
    def checked(*arguments: Any) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "second derivatives are not implemented here: leave out create_graph=True, or take them by torch.func."
            )
        return backward(*arguments)

    return checked
