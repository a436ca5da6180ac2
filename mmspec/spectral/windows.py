"""An axis extended beyond its ends and cut into overlapping windows, and the transposes of both."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.spectral.boundary import source
from mmspec.spectral.constants import constant


def windows(x: Tensor, count: int, width: int, step: int, first: int, mode: str, axis: int) -> Tensor:
    """Windows at first, first + step, ... along an axis: ``[..., n, m]`` -> ``[..., count, width, m]``.

    Args:
        x: floating point, ``[..., n]`` or ``[..., n, m]``.
        count, width, step: of the windows, in samples; a window overlaps the next by ``width - step`` or more.
        first: where the first begins, 0 or before the signal.
        mode: one of `boundary.MODES`, what is beyond the ends.
        axis: -1 or -2, the axis of n.
    """
    pieces = -(-width // step)
    x = _extend(x, -first, (count + pieces - 1) * step + first - x.shape[axis], mode, axis)
    blocks = torch.unflatten(x, axis, (count + pieces - 1, step))
    if width == step:
        return blocks
    sizes = [min(step, width - piece * step) for piece in range(pieces)]
    return torch.cat(
        [blocks.narrow(axis - 1, piece, count).narrow(axis, 0, size) for piece, size in enumerate(sizes)], axis
    )


def overlap_add(x: Tensor, n: int, step: int, first: int, mode: str, axis: int) -> Tensor:
    """The transpose of `windows`: ``[..., count, width, m]`` -> ``[..., n, m]``; arguments as there."""
    count, width = x.shape[axis - 1], x.shape[axis]
    pieces = -(-width // step)
    blocks = _extend(x.narrow(axis, 0, min(step, width)), 0, pieces - 1, "zero", axis - 1)
    for piece in range(1, pieces):
        size = min(step, width - piece * step)
        blocks.narrow(axis - 1, piece, count).narrow(axis, 0, size).add_(x.narrow(axis, piece * step, size))
    return _fold(blocks.flatten(axis - 1, axis), n, -first, mode, axis)


def _extend(x: Tensor, left: int, right: int, mode: str, axis: int) -> Tensor:
    """So many samples more before and after those of an axis."""
    n = x.shape[axis]
    if not (left or right):
        return x
    if mode == "zero":
        return F.pad(x, (0, 0) * (-1 - axis) + (left, right))
    before, after = (_outside(start, stop, n, mode, x.device) for start, stop in ((-left, 0), (n, n + right)))
    return torch.cat((x.index_select(axis, before), x, x.index_select(axis, after)), axis)


def _fold(x: Tensor, n: int, left: int, mode: str, axis: int) -> Tensor:
    """The transpose of `_extend` to n samples, of which ``left`` came before."""
    inner = x.narrow(axis, left, n)
    if mode == "zero":
        return inner
    for start, first, count in ((0, -left, left), (left + n, n, x.shape[axis] - left - n)):
        if count:
            outside = _outside(first, first + count, n, mode, x.device)
            inner = inner.index_add(axis, outside, x.narrow(axis, start, count))
    return inner


@constant
def _outside(start: int, stop: int, n: int, mode: str, device: torch.device) -> Tensor:
    return source(torch.arange(start, stop, device=device), n, mode)
