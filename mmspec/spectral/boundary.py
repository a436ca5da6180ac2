"""Boundary modes: which sample stands at a position beyond the ends of a signal. Names are PyWavelets'."""

import torch
from torch import Tensor

MODES = ("zero", "symmetric", "reflect", "periodic", "periodization", "constant")


def source(position: Tensor, size: int, mode: str) -> Tensor:
    """The index in 0 .. size - 1 of the sample at each integer position, of any sign and magnitude; same shape.

    - "zero": there is none, the position stays as it is, outside;
    - "constant": the nearest sample;
    - "symmetric": mirrored, the last sample twice: ``... b a | a b c | c b ...``;
    - "reflect": mirrored at the last sample: ``... c b | a b c | b a ...``;
    - "periodic": repeated: ``... b c | a b c | a b ...``;
    - "periodization": repeated after an odd number of samples is made even: ``... c c | a b c c | a b ...``.

    Mirrors and repetitions go on where the extension is longer than the signal; a single sample is its own mirror
    image.
    """
    if mode == "zero":
        return position
    if mode == "constant":
        return position.clamp(0, size - 1)
    if mode == "symmetric":
        position = position % (2 * size)
        return torch.minimum(position, 2 * size - 1 - position)
    if mode == "reflect":
        period = max(2 * size - 2, 1)
        position = position % period
        return torch.minimum(position, period - position)
    if mode == "periodic":
        return position % size
    return (position % (size + size % 2)).clamp(max=size - 1)
