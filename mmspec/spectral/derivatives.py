"""Hand-written derivatives: what they share."""

import functools
from collections.abc import Callable
from typing import Any

import torch


def first_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make the backward of an autograd function refuse second derivatives, instead of leaving its part out."""

    @functools.wraps(backward)
    def checked(*arguments: Any) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError("second derivatives are not implemented here: leave out create_graph=True.")
        return backward(*arguments)

    return checked
