"""Tensors that follow from options alone: filters, matrices, index tables."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def constant(build: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Remember the tensors that `build` makes, one for each set of (positional, hashable) options.

    A tensor made in inference mode is usable in training. `torch.compile` and `torch.export` trace `build`, and
    nothing is remembered while they hand out stand-ins for tensors.
    """
    known: dict[tuple[Any, ...], Tensor] = {}

    @functools.wraps(build)
    def get(*options: Any) -> Tensor:
        if torch.compiler.is_compiling():
            return build(*options)
        if options not in known:
            with torch.inference_mode(False):
                known[options] = build(*options)
        return known[options]

    return get
