"""What a first stage changes on the way to latents and back."""

import torch

from mmspec.diagnosis.denoising import Bias
from mmspec.metrics.octaves import Description
from mmspec.metrics.report_card import levels_db
from mmspec.metrics.statistics import bootstrap_means, simultaneous_interval


def round_trip_bias(real: Description, decoded: Description, seed: int = 0) -> Bias:
    """Energy of decoded signals over that of the real ones that were encoded, ``[octaves]``, of a typical signal.

    Args:
        real: N signals.
        decoded: the same, n-th for n-th.
        seed: of the intervals.

    Raises:
        ValueError: for fewer than 2 signals, or another number of decoded ones.
    """
    if len(real) != len(decoded):
        raise ValueError(f"{len(decoded)} decoded signals are not of {len(real)} real ones.")
    changes = levels_db(decoded, real)[0] - levels_db(real, real)[0]
    found: torch.Tensor = changes.mean(0)
    return Bias(found, *simultaneous_interval(bootstrap_means(changes, seed=seed), found, len(changes)))
