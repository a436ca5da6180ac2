"""Tensors that follow from options alone: filters, matrices, index tables."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def constant(build: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Remember the tensors that `build` makes, one for each set of (positional, hashable) arguments.

    `torch.compile` takes the result for a constant instead of tracing `build`. A tensor made in inference mode is
    usable in training. While `torch.export` traces with stand-ins for tensors, nothing is remembered.
    """
    known: dict[tuple[Any, ...], Tensor] = {}

    @functools.wraps(build)
    def get(*options: Any) -> Tensor:
        if options not in known:
            with torch.inference_mode(False):
                made = build(*options)
            if type(made) is not Tensor:
                return made
            known[options] = made
        return known[options]

    # The mark that torch.compiler.assume_constant_result sets; calling it would import the compiler.
    get._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return get
