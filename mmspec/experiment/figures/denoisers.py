"""What the figures of one denoiser share: where it is, and where its figure goes."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmspec.devices import find_device
from mmspec.diffusion import Denoiser
from mmspec.drawing.figure_page import check_out
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions
from mmspec.experiment.sources import open_denoiser
from mmspec.training.run import run_at


@dataclass(frozen=True, kw_only=True)
class DenoiserFigure(FigureOptions):
    """The options of a figure of one denoiser.

    Attributes:
        from_: where the denoiser is.
        out: null for a page in the run.
    """

    from_: str
    out: Path | None
    text_encoder: str | None
    seed: int
    device: Literal["auto", "cpu", "cuda"]

    def draw(self) -> Path:
        """Find the denoiser, and see that its figure can be written, before it is measured."""
        denoiser, out = self._denoiser(), self._out()
        check_out(out)
        self.write(out, denoiser)
        return out

    @abstractmethod
    def write(self, out: Path, denoiser: Denoiser) -> None:
        """Measure a denoiser, and write its figure."""

    @property
    def name(self) -> str:
        """Of the denoiser, in titles."""
        return Path(self.from_).name

    def _denoiser(self) -> Denoiser:
        denoiser, _ = open_denoiser(self.from_, find_device(self.device))
        if denoiser.conditioner is not None:
            raise InputError(f"from={self.from_} is a vocoder, whose signals follow its input: give another denoiser.")
        if denoiser.signal_shape is None:
            raise InputError(f"{self.from_} does not say the shape of its signals: its config.json lacks signal.shape.")
        return denoiser

    def _out(self) -> Path:
        if self.out is not None:
            return self.out
        return run_at(self.from_, "say with out=FILE where the figure goes").folder / f"{self.figure}.html"
