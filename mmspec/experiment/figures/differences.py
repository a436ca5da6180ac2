"""Samples of runs side by side, and how far their spectra are from the real one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmspec.analysis.difference_figure import differences
from mmspec.data import StoredDataset, open_dataset
from mmspec.drawing.figure_page import check_out, write_figures
from mmspec.errors import InputError
from mmspec.experiment.figures.held_out import held_out
from mmspec.experiment.figures.options import FigureOptions
from mmspec.training.run import Run


@dataclass(frozen=True, kw_only=True)
class Differences(FigureOptions):
    """The keys of conf/figure/differences.yaml, which says what they mean.

    Raises:
        InputError: for no run, or more than fit on a page.
    """

    runs: tuple[Path, ...]
    data: Path | None
    out: Path
    num: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.runs) <= 3:
            raise InputError(f"runs must be 1 to 3 folders, not {len(self.runs)}.")
        if self.num < 1:
            raise InputError(f"num must be 1 or more, not {self.num}.")

    def draw(self) -> Path:
        """Real signals and those of each run."""
        check_out(self.out)
        real, *generated = self._sets()
        signals = {
            name: dataset.batch(np.arange(min(len(dataset), self.num)))[0]
            for name, dataset in zip(self._names(), [real, *generated], strict=True)
        }
        figure = differences(signals, real.meta.sample_rate)
        write_figures(self.out, "Differences", "How far generated spectra are from real ones.", [figure])
        return self.out

    def _sets(self) -> list[StoredDataset]:
        """The real one, and one a run."""
        folder = self.data or held_out(self.runs[0])
        if folder is None:
            raise InputError(f"{self.runs[0]} has no data.test: give data=FOLDER, a packed data set of real signals.")
        real = open_dataset(folder)
        generated = [open_dataset(_samples(run)) for run in self.runs]
        for dataset in generated:
            if dataset.meta.shape != real.meta.shape:
                raise InputError(
                    f"{dataset.folder} has signals {dataset.meta.shape}, {folder} has {real.meta.shape}: compare sets "
                    "that were prepared alike."
                )
        return [real, *generated]

    def _names(self) -> list[str]:
        """The shortest that tell the sets apart."""
        names = ["real", *(run.name for run in self.runs)]
        return names if len(set(names)) == len(names) else ["real", *map(str, self.runs)]


def _samples(folder: Path) -> Path:
    """The final samples of a run, or the folder itself."""
    final = Run(folder).samples
    return final if final.is_dir() else folder
