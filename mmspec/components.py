"""``{type: Name, **arguments}`` -> an object of a closed table: how configs name what they are made of.

Configs come from files that anybody may have written, so they name entries of a table and nothing else: no import
path, no code.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .errors import InputError


def build(config: Mapping[str, Any], table: Mapping[str, Callable[..., Any]], where: str, **fixed: Any) -> Any:
    """Build the component that ``config`` describes.

    Args:
        config: ``type``, an entry of ``table``, and keyword arguments for it.
        table: name -> class.
        where: what errors call it: a config key or a file.
        fixed: arguments that the caller decides; the config must not name them.

    Raises:
        InputError: for an unknown type, an unknown, missing or fixed argument, or a value that the class refuses.
    """
    arguments = {key: value for key, value in config.items() if key != "type"}
    name = config.get("type")
    if name not in table:
        raise InputError(f"{where}.type={name!r} is unknown: expected one of {', '.join(table)}.")
    accepted = inspect.signature(table[name]).parameters
    for key in arguments:
        if key in fixed:
            raise InputError(f"{where}.{key} follows from the data and cannot be set: leave it out.")
        if key not in accepted:
            raise InputError(f"{where}.{key} is no option of {name}: it has {', '.join(accepted)}.")
    try:
        return table[name](**arguments, **{key: value for key, value in fixed.items() if key in accepted})
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
