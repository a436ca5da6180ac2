"""Which frequencies a denoiser lets pass at each noise level."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmspec.analysis.filter_figures import measured_filters
from mmspec.analysis.wiener import measure_filter
from mmspec.data import open_dataset
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import said
from mmspec.drawing.figure_page import write_figures
from mmspec.errors import InputError
from mmspec.experiment.figures.denoisers import DenoiserFigure
from mmspec.experiment.figures.held_out import held_out, held_out_batches


@dataclass(frozen=True, kw_only=True)
class Filters(DenoiserFigure):
    """The keys of conf/figure/filters.yaml, which says what they mean.

    Raises:
        InputError: for numbers out of range.
    """

    data: Path | None
    sigmas: tuple[float, ...]
    num: int
    batch_size: int

    def __post_init__(self) -> None:
        if not self.sigmas or min(self.sigmas) <= 0 or self.num < 1 or self.batch_size < 1:
            raise InputError("sigmas must be above 0, num and batch_size 1 or more.")

    def write(self, out: Path, denoiser: Denoiser) -> None:
        """One filter a noise level, beside the optimal one for the data."""
        sigmas = sorted(set(denoiser.round_sigma(torch.tensor(self.sigmas, dtype=torch.float64)).tolist()))
        batches = list(self._clean_batches(denoiser))
        found = {sigma: measure_filter(denoiser, batches, sigma, self.seed) for sigma in sigmas}
        over = f"{self.num} {'signals' if denoiser.first_stage is None else 'latents'}"
        figure = measured_filters(found, f"Filters of {self.name}", over)
        write_figures(out, "Filters", f"Which frequencies {self.from_} lets pass.", [figure])

    def _clean_batches(self, denoiser: Denoiser) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Signals, or their latents, with what the denoiser is told of them."""
        folder = self.data or held_out(Path(self.from_))
        if folder is None:
            raise InputError(f"{self.from_} has no data.test: give data=FOLDER, a packed data set of clean signals.")
        batches = held_out_batches(
            denoiser, open_dataset(folder), self.num, self.batch_size, encoder=self.text_encoder, source=self.from_
        )
        return ((x0, said(told)) for x0, told in batches)
