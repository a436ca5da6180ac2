"""Stops a run whose loss is no longer finite, without making each step wait for the device; looks at what is kept."""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.training.late import HostCopy


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of a tensor that holds NaN or infinity, or None; waits for the device, once where all are finite."""
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if not floating:
        return None
    sums = torch.stack([tensor.sum().float() for tensor in floating.values()])  # NaN and infinity stay in a sum
    suspects = [name for name, sum in zip(floating, sums.tolist(), strict=True) if not math.isfinite(sum)]
    return next((name for name in suspects if not floating[name].isfinite().all()), None)


class _Step(NamedTuple):
    step: int
    indices: np.ndarray
    numbers: HostCopy  # [1 + B]: whether the step was finite, then sigma


class FiniteGuard:
    """Counts steps in a row whose gradients are not finite, reading each verdict one step late.

    Args:
        limit: so many in a row end the run.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pending: deque[_Step] = deque()
        self._in_a_row = 0

    def watch(self, step: int, finite: Tensor, sigma: Tensor, indices: np.ndarray) -> None:
        """Note a step's verdict, and judge the step before.

        Args:
            finite: ``[]``, 1 where the step's gradients were finite.
            sigma: noise levels of this process's samples, ``[B]``.
            indices: which samples they were.

        Raises:
            InputError: at the ``limit``-th non-finite step in a row.
        """
        numbers = HostCopy(torch.cat([finite.reshape(1).float(), sigma.float()]))
        self._pending.append(_Step(step, indices, numbers))
        if len(self._pending) > 1:
            self._judge(self._pending.popleft())

    def settle(self) -> None:
        """Judge all that is pending; raises as `watch` does."""
        while self._pending:
            self._judge(self._pending.popleft())

    @property
    def healthy(self) -> bool:
        """Whether the last judged step was finite."""
        return self._in_a_row == 0

    def _judge(self, step: _Step) -> None:
        finite, *sigma = step.numbers.read()
        self._in_a_row = 0 if finite else self._in_a_row + 1
        if self._in_a_row >= self.limit:
            raise InputError(
                f"training stopped: the loss was not finite for {self._in_a_row} steps in a row, up to step "
                f"{step.step} with sigma {[round(s, 4) for s in sigma[:8]]} on samples {step.indices[:8].tolist()}; "
                "these steps changed no weight and the last checkpoint is intact: lower trainer.learning_rate or "
                "a regularizer's weight, or look at these samples, and run again."
            )
