"""``{type: Name, **arguments}`` -> an object of a closed table: how configs name what they are made of.

Configs come from files that anybody may have written, so they name entries of a table and nothing else: no import
path, no code.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mmspec.errors import InputError


def build(config: Mapping[str, Any], table: Mapping[str, Callable[..., Any]], where: str, **fixed: Any) -> Any:
    """Build the component that ``config`` describes.

    Args:
        config: ``type``, an entry of ``table``, and keyword arguments for it.
        table: name -> class.
        where: what errors call it: a config key or a file.
        fixed: arguments that the caller decides and the config must not name; each is used where the class has it.

    Raises:
        InputError: for an unknown type, an unknown, missing or fixed argument, or a value that the class refuses.
    """
    options = dict(config)
    name = str(options.pop("type", None))
    if name not in table:
        raise InputError(f"{where}.type={name} is unknown: expected one of {', '.join(table)}.")
    return construct(table[name], options, where, **fixed)


def describe(component: Any) -> dict[str, Any]:
    """The config from which `build` makes such a component again; its ``config`` are its constructor arguments."""
    return {"type": type(component).__name__, **component.config}


def construct(made: Callable[..., Any], options: Mapping[str, Any], where: str, **fixed: Any) -> Any:
    """Call ``made`` with options from a config; arguments and errors as for `build`."""
    accepted = inspect.signature(made).parameters
    for key in options:
        if key in fixed:
            raise InputError(f"{where}.{key} follows from the data and cannot be set: leave it out.")
        if key not in accepted:
            raise InputError(f"{where}.{key} is no option of {made.__name__}, which has {', '.join(accepted)}.")
    try:
        return made(**options, **{key: value for key, value in fixed.items() if key in accepted})
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
