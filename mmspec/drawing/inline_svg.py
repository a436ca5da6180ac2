"""Plots as SVG inside of a page, whose colours follow the reader's light or dark mode."""

import io
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from mmspec.drawing.style import VARIABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def inline(figure: "Figure", description: str) -> Markup:
    """A figure as SVG that takes its colours and font from the page it stands in."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": description}):
        figure.savefig(buffer, format="svg", transparent=True)
    return as_inline(buffer.getvalue(), description)


def as_inline(svg: str, description: str) -> Markup:
    """A matplotlib figure's SVG file, as `inline` gives a figure."""
    opening, body = svg[svg.index("<svg") :].split(">", 1)
    opening = re.sub(r'\s(xmlns(:xlink)?|version|width|height)="[^"]*"', "", opening)
    opening = opening.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
    body = re.sub(r"<(metadata|title|style)\b.*?</\1>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # such names repeat from plot to plot
    body = re.sub(r"font-family: [^;\"]+", "font-family: var(--sans)", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return Markup(f"{opening}>{body}")
