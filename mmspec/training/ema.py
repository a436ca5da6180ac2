"""Exponential moving average of weights."""

import torch
from torch import Tensor, nn

from mmspec.training.sharding import local


def ema_decay(nimg: int, batch_size: int, halflife_nimg: float, rampup: float) -> float:
    """Decay of one step: ``0.5^(batch_size / halflife)``, ``halflife = min(halflife_nimg, rampup nimg)``.

    Half-life and ramp-up are counted in samples (Karras et al. 2022, Table 7), so they hold at any batch size.
    """
    halflife = min(halflife_nimg, rampup * nimg)
    return float(0.5 ** (batch_size / max(halflife, 1e-8)))


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float, accept: Tensor) -> None:
    """``average += (1 - decay) accept (model - average)``, for every parameter.

    Args:
        accept: ``[]``, 1 to update and 0 to leave the average alone, without asking the host which.
    """
    averages: list[Tensor] = [local(parameter) for parameter in average.parameters()]
    parameters: list[Tensor] = [local(parameter) for parameter in model.parameters()]
    share = (1 - decay) * accept
    if share.device.type == "cpu":  # in one pass over memory
        torch._foreach_lerp_(averages, parameters, [share] * len(averages))
        return
    differences = list(torch._foreach_sub(parameters, averages))  # in three, each for many tensors at a time
    torch._foreach_mul_(differences, share)
    torch._foreach_add_(averages, differences)
