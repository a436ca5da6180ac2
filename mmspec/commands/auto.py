"""Values that follow from the data: what ``auto`` stands for in a configuration."""

import math
from collections.abc import Callable
from typing import Any

# EDM's constants are for signals of standard deviation 0.5 (Karras et al. 2022, Table 1). In units of sigma_data they
# mean the same for quieter signals, such as speech with pauses.
_OF_SIGMA_DATA: dict[str, Callable[[float], float]] = {
    "sigma_data": lambda sd: sd,
    "sigma_min": lambda sd: 0.002 * sd / 0.5,
    "sigma_max": lambda sd: 80 * sd / 0.5,
    "mean": lambda sd: -1.2 + math.log(sd / 0.5),  # P_mean
    "sigma_gate": lambda sd: sd / 0.5,
}


def fill_auto(config: Any, sigma_data: float) -> Any:
    """A configuration in which every ``auto`` that depends on sigma_data is a number; others stay as they are.

    Args:
        config: nested dicts, lists and values.
        sigma_data: standard deviation of the clean signal.
    """
    if isinstance(config, list):
        return [fill_auto(value, sigma_data) for value in config]
    if not isinstance(config, dict):
        return config
    return {key: _value(key, value, sigma_data) for key, value in config.items()}


def _value(key: str, value: Any, sigma_data: float) -> Any:
    if value == "auto" and key in _OF_SIGMA_DATA:
        return _OF_SIGMA_DATA[key](sigma_data)
    return fill_auto(value, sigma_data)
