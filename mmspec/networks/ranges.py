"""Ranges of what networks are constructed with, checked before torch is asked for layers that cannot be."""

import math
from collections.abc import Mapping

LARGEST = 2**20  # of widths: beyond it is a slip of the hand, and layers that no memory holds
MOST_ENTRIES = 64  # levels of a network
HIGHEST = {  # of others
    **dict.fromkeys(("num_blocks", "transformer_depth", "residual_layers"), 2**10),  # layers in a row
    "max_steps": 10**5,  # rows of a table
}


def check_ranges(options: Mapping[str, object], least: Mapping[str, int]) -> None:
    """Hold constructor arguments against their ranges.

    Args:
        options: arguments by name. None passes; of a list, each entry counts, and an empty one where it may hold 0.
        least: the smallest value of each that is a whole number, or of its entries.

    Raises:
        ValueError: for the first that is below its least, or above 2^20 (2^10 layers in a row, 10^5 steps), or has more
            than 64 entries; for a dropout or label_dropout that is no probability.
    """
    for name, lowest in least.items():
        value, highest = options.get(name), HIGHEST.get(name, LARGEST)
        listed = value if isinstance(value, list | tuple) else [value]
        entries = [entry for entry in listed if isinstance(entry, int | float)]
        if not all(lowest <= entry for entry in entries) or (lowest > 0 and value in ([], ())):
            raise ValueError(f"{name} must be {lowest} or more, not {value}.")
        if len(listed) > MOST_ENTRIES:
            raise ValueError(f"{name} must have {MOST_ENTRIES} entries or less, not {len(listed)}.")
        if not all(entry <= highest for entry in entries):
            raise ValueError(f"{name} must be {highest} or less, not {value}.")
    for name in ("dropout", "label_dropout"):
        probability = options.get(name, 0.0)
        if not (isinstance(probability, int | float) and 0 <= probability <= 1):
            raise ValueError(f"{name} is a probability between 0 and 1, not {probability}.")


def check_scale(name: str, value: float) -> None:
    """ValueError for a factor that is not finite and above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, not {value}.")
