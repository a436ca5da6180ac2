"""Colours of runs, and the variables of the pages' style sheet that they are."""

import re
from functools import cache
from importlib.resources import files

from mmspec.drawing.style import LINES


def colour(index: int) -> int:
    """Of the run at an index, as `mmspec.drawing.style.line_colour` counts them."""
    return 1 + index % (len(LINES) - 1)


def colours() -> str:
    """The variables of the pages' style sheet, in both modes."""
    return rules(r":root \{.*?^\}\n") + rules(r"@media \(prefers-color-scheme: dark\) \{.*?^\}\n")


@cache
def rules(pattern: str) -> str:
    """The first rules of the pages' style sheet that begin a line as a pattern says."""
    style = files("mmspec.drawing").joinpath("templates/style.css").read_text(encoding="utf-8")
    found = re.search("^" + pattern, style, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"style.css has no {pattern}.")
    return found[0]
