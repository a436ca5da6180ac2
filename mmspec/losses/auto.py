"""What ``auto`` stands for, where an argument follows from the data."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Auto:
    """Marks the type of an argument: ``sigma_gate: Annotated[float, Auto(lambda sigma_data: 2 * sigma_data)]``.

    Args:
        of: from sigma_data, the standard deviation of the clean signal, to the argument.
    """

    of: Callable[[float], float]
