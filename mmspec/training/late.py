"""A few numbers of a device that the host reads a step later, without making that step wait."""

import torch
from torch import Tensor


class HostCopy:
    """Numbers on their way to the host.

    Args:
        values: ``[N]``, on any device.
    """

    def __init__(self, values: Tensor) -> None:
        self._host, self._ready = values.detach(), None
        if values.is_cuda:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._ready.record()

    def read(self) -> list[float]:
        """The numbers; waits for them, and for nothing that was begun after them."""
        if self._ready is not None:
            self._ready.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers
