"""Where a training's loss is: at which noise levels it looks, and which octaves its errors are of."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmspec.diagnosis.denoising import Energies


class LossShares(NamedTuple):
    """How a training spends its samples and its loss.

    Attributes:
        drawn: of the samples, the share that is nearest to each noise level, ``[levels]`` float64.
        octaves: of the expected loss, by noise level and octave, ``[levels, octaves]`` float64; they sum to 1.
    """

    drawn: Tensor
    octaves: Tensor


def loss_shares(levels: Sequence[Energies], weight: Tensor, drawn: Tensor) -> LossShares:
    """The shares of the weighted squared error, as far as it is of octaves.

    Args:
        levels: energies at each noise level.
        weight: by which the squared error counts there, ``[levels]``.
        drawn: share of the training's samples there, ``[levels]``.
    """
    loss = torch.stack([each.error.mean(0) for each in levels]) * (weight.double() * drawn)[:, None]
    return LossShares(drawn, loss / loss.sum())
