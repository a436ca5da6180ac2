"""The optimal linear filters."""

from dataclasses import dataclass
from pathlib import Path

from mmspec.analysis.filter_figures import optimal_filters
from mmspec.drawing.figure_page import write_figures
from mmspec.drawing.style import LINES
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions


@dataclass(frozen=True, kw_only=True)
class Wiener(FigureOptions):
    """The keys of conf/figure/wiener.yaml, which says what they mean.

    Raises:
        InputError: for numbers out of range.
    """

    out: Path
    abar: tuple[float, ...]
    amplitude: float
    alpha: float
    highest: float

    def __post_init__(self) -> None:
        in_range = all(0 < abar <= 1 for abar in self.abar) and self.highest >= 2
        if not in_range or not 1 <= len(self.abar) < len(LINES):
            raise InputError(f"abar must be 1 to {len(LINES) - 1} numbers above 0 and up to 1, and highest 2 or more.")

    def draw(self) -> Path:
        """The filters at each abar, in one figure."""
        figure = optimal_filters(self.abar, self.amplitude, self.alpha, self.highest)
        lead = "The less noise, the wider the band that the optimal linear filter passes."
        write_figures(self.out, "Wiener filters", lead, [figure])
        return self.out
