"""Fold blocks of samples into a dimension of their own and back, and pad to whole blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor


def fold(x: Tensor, size: int) -> Tensor:
    """Gather each block of ``size`` samples (2D: ``size`` by ``size``) into one place.

    Shape: ``[B, C, *spatial]`` -> ``[B, size**dims, C, *(n / size)]``, position in the block row-major.
    """
    dims = x.ndim - 2
    for axis in range(dims):
        x = torch.unflatten(x, 2 + 2 * axis, (-1, size))
    blocks, positions = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    return x.permute(0, *positions, 1, *blocks).flatten(1, dims)


def unfold(x: Tensor, size: int) -> Tensor:
    """The inverse of `fold`: ``[B, size**dims, C, *spatial]`` -> ``[B, C, *(n * size)]``."""
    dims = x.ndim - 3
    x = torch.unflatten(x, 1, (size,) * dims)
    pairs = [axis for i in range(dims) for axis in (dims + 2 + i, 1 + i)]
    x = x.permute(0, dims + 1, *pairs)
    for axis in range(dims):
        x = x.flatten(2 + axis, 3 + axis)
    return x


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend every spatial axis of ``[B, C, *spatial]`` at its far end to a multiple, by repeating the last sample.

    Repeating serves every size, 1 included, where mirroring needs more samples than it adds. What is there keeps
    its place on the grid, so cropping to the old size undoes it.
    """
    padding = [end for n in reversed(x.shape[2:]) for end in (0, -n % multiple)]
    return F.pad(x, padding, mode="replicate") if any(padding) else x


def crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The first ``size`` samples of every spatial axis: ``[B, C, *spatial]`` -> ``[B, C, *size]``."""
    for axis, n in enumerate(size, start=2):
        x = x.narrow(axis, 0, n)
    return x
