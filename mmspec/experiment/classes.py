"""Which class each sample is to be of."""

from collections.abc import Sequence

import numpy as np

from mmspec.errors import InputError


def numbers_of(classes: Sequence[str] | None, wanted: str | int, num: int) -> np.ndarray | None:
    """The number of each sample's class, int64 ``[num]``, or None where none has one.

    Args:
        classes: their names, of a denoiser; None where it knows none.
        wanted: "balanced" for all classes in turn, "none" for unconditional, a class's name, or its number where no
            name is one.

    Raises:
        InputError: if there is no such class.
    """
    if (wanted == "none" and "none" not in (classes or ())) or (wanted == "balanced" and not classes):
        return None
    if not classes:
        raise InputError(f"labels={wanted}: this denoiser was trained without classes; leave labels out.")
    if wanted == "balanced":
        return np.arange(num) % len(classes)
    names = {name: index for index, name in enumerate(classes)}
    by_number = not any(map(_is_number, classes))  # of classes "1" and "2", 1 is no second class
    numbers = ({str(i): i for i in range(len(classes))} if by_number else {}) | names
    if str(wanted) not in numbers:
        place = f"a number from 0 to {len(classes) - 1}, " if by_number else ""
        raise InputError(f"labels={wanted} is no class: expected balanced, none, {place}or one of {listed(classes)}.")
    return np.full(num, numbers[str(wanted)])


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def listed(classes: Sequence[str]) -> str:
    """The names of classes, the first twelve of many."""
    return f"{', '.join(classes[:12])}{' ...' if len(classes) > 12 else ''}"
