"""Tensors that follow from options alone: matrices, index tables."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes


def constant(build: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Remember the last few hundred tensors that ``build`` made, by its (positional, hashable) options.

    A tensor made in inference mode is usable in training, and one made under a ``FakeTensorMode`` is real.
    `torch.compile` and `torch.export` trace ``build`` itself, and nothing is remembered meanwhile.
    """

    @functools.lru_cache(maxsize=512)
    def remembered(*options: Any) -> Tensor:
        with torch.inference_mode(False), _disable_current_modes():
            return build(*options)

    @functools.wraps(build)
    def get(*options: Any) -> Tensor:
        return build(*options) if torch.compiler.is_compiling() else remembered(*options)

    return get
