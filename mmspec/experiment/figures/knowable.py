"""What the best linear denoiser of a data set predicts at each noise level."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmspec.analysis.best_linear import predictions
from mmspec.data import PackedDataset
from mmspec.drawing.figure_page import check_out, write_figures
from mmspec.drawing.style import LINES
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions


@dataclass(frozen=True, kw_only=True)
class Knowable(FigureOptions):
    """The keys of conf/figure/knowable.yaml, which says what they mean.

    Raises:
        InputError: for numbers out of range.
    """

    out: Path
    data: Path
    sigmas: tuple[float, ...]
    num: int
    shown: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.sigmas) < len(LINES) or min(self.sigmas) <= 0:
            raise InputError(f"sigmas must be 1 to {len(LINES) - 1} numbers above 0, not {list(self.sigmas)}.")
        if not 0 <= self.shown < self.num:
            raise InputError(f"shown must be 0 to {self.num - 1}, one of num={self.num} signals, not {self.shown}.")

    def draw(self) -> Path:
        """One signal at each noise level, and the spectra of all."""
        check_out(self.out)
        dataset = PackedDataset(self.data)
        if len(dataset) < self.num:
            raise InputError(f"data={self.data} holds {len(dataset)} signals: give num={len(dataset)} or less.")
        signals, _ = dataset.batch(np.linspace(0, len(dataset) - 1, self.num).astype(int))
        figure = predictions(signals, self.sigmas, dataset.meta.sample_rate, self.seed, self.shown)
        lead = "The more noise, the less of the fine structure can be known: the best guess is smooth."
        write_figures(self.out, figure.title, lead, [figure])
        return self.out
