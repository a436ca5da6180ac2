"""What a denoiser predicts along a sampler's walk."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mmspec.analysis import walk_figures
from mmspec.data import open_dataset
from mmspec.diffusion import Denoiser
from mmspec.drawing.figure_page import write_figures
from mmspec.errors import InputError
from mmspec.experiment.figures.held_out import clean_signals, held_out, spread
from mmspec.experiment.figures.walks import WalkFigure

REAL = 256  # signals, of whose spectrum the figure has the mean


@dataclass(frozen=True, kw_only=True)
class Predictions(WalkFigure):
    """The keys of conf/figure/predictions.yaml, which says what they mean.

    Raises:
        InputError: for numbers out of range.
    """

    data: Path | None
    shown: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shown < 1:
            raise InputError(f"shown must be 1 or more, not {self.shown}.")

    def write(self, out: Path, denoiser: Denoiser) -> None:
        """Predictions of one sample, above the spectra of many."""
        trajectory = self.walk(denoiser, predictions=True)
        title = f"Predictions of {self.name}"
        figure = walk_figures.predictions(trajectory, denoiser, self.shown, self._real(denoiser), title)
        write_figures(out, "Predictions", f"What {self.from_} predicts while it samples.", [figure])

    def _real(self, denoiser: Denoiser) -> Tensor | None:
        """Signals of the data that are given; of the run's, if they are there."""
        folder = self.data or held_out(Path(self.from_))
        if folder is None or (self.data is None and not folder.is_dir()):
            return None
        dataset = open_dataset(folder)
        return clean_signals(dataset, spread(len(dataset), REAL), denoiser)[0]
