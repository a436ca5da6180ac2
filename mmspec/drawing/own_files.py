"""What is never replaced: files that mmspec did not make."""

import os
from collections.abc import Callable
from pathlib import Path

from mmspec.errors import InputError


def refuse_other(out: Path, is_own: Callable[[Path], bool], kind: str) -> None:
    """See that a file can be written without loss.

    Args:
        out: where it goes.
        is_own: whether a file that is there was made by mmspec, as the one to be written.
        kind: what it is, such as "page".

    Raises:
        InputError: if something else is there.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder, where a {kind} is to be written: give the name of a file.")
    if os.path.lexists(out) and not (out.is_file() and is_own(out)):  # a pipe or a device may never end
        raise InputError(f"{out} is there already, and no {kind} that mmspec made: move it away, or give another out=.")
