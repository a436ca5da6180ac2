"""A figure: a drawing with what is said about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from mmspec.drawing.inline_svg import inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Figure:
    """A drawing with title, caption and legend, for a page or a file of its own.

    Attributes:
        title: stands above it.
        drawing: matplotlib's figure; or the SVG of one, as `mmspec.drawing.inline_svg.inline` makes it.
        caption: stands below it.
        legend: (colour, label), colours as `mmspec.drawing.style.line_colour` counts them.
        description: what is heard instead of the drawing; empty for the title.
    """

    title: str
    drawing: "Drawing | Markup"
    caption: str
    legend: Sequence[tuple[int, str]] = ()
    description: str = ""

    @property
    def svg(self) -> Markup:
        """The drawing, for a page."""
        if isinstance(self.drawing, Markup):
            return self.drawing
        return inline(self.drawing, self.description or self.title)
