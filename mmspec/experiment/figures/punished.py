"""What a regularizer punishes, by signals of one's own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmspec.analysis.punished import punished
from mmspec.data import PackedDataset
from mmspec.drawing.figure_page import check_out, write_figures
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions
from mmspec.experiment.objective import RegularizerOptions


@dataclass(frozen=True, kw_only=True)
class Punished(FigureOptions):
    """The keys of conf/figure/punished.yaml, which says what they mean.

    Raises:
        InputError: for numbers out of range, or no regularizer.
    """

    out: Path
    data: Path
    regularizer: dict[str, RegularizerOptions]
    error: float
    num: int
    shown: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.error < 1 or self.num < 1:
            raise InputError(f"error must be above 0 and below 1, and num 1 or more, not {self.error} and {self.num}.")
        if not 0 <= self.shown < self.num:
            raise InputError(f"shown must be 0 to {self.num - 1}, one of num={self.num} signals, not {self.shown}.")
        if not self.regularizer:
            raise InputError("regularizer=none punishes nothing: choose one, such as regularizer=amplitude.")

    def draw(self) -> Path:
        """A figure for each regularizer."""
        check_out(self.out)
        dataset = PackedDataset(self.data)
        if len(dataset) < self.num:
            raise InputError(f"data={self.data} holds {len(dataset)} signals: give num={len(dataset)} or less.")
        signals, _ = dataset.batch(np.linspace(0, len(dataset) - 1, self.num).astype(int))
        if (constant := signals.flatten(1).std(1) == 0).any():
            raise InputError(
                f"data={self.data} holds constant signals ({int(constant.sum())} of {self.num}): leave them out."
            )
        sigma_data = signals.std().item()
        options = {name: term.with_auto(f"regularizer.{name}", sigma_data) for name, term in self.regularizer.items()}
        drawn = [
            punished(
                term.build(f"regularizer.{name}").loss,
                f"What {term.loss.name} punishes",
                signals,
                self.error,
                torch.Generator().manual_seed(self.seed),
                self.shown,
            )
            for name, term in options.items()
        ]
        lead = "Errors of six kinds, equally large, and what a regularizer makes of each."
        write_figures(self.out, "What is punished", lead, drawn)
        return self.out
