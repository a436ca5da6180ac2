"""What the figures of one denoiser share: where it is, and where its figure goes."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch

from mmspec import typed
from mmspec.diffusion import Denoiser
from mmspec.drawing.figure_page import check_out
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions
from mmspec.training.checkpoint import find_denoiser


@dataclass(frozen=True, kw_only=True)
class DenoiserFigure(FigureOptions):
    """The options of a figure of one denoiser.

    Attributes:
        source: of the denoiser, the key ``from``.
        out: null for a page in the run.
    """

    source: str
    out: Path | None
    text_encoder: str | None
    seed: int
    device: Literal["auto", "cpu"]

    @classmethod
    def read(cls, config: dict[str, object]) -> Self:
        """As `FigureOptions.read`."""
        source = typed.checked(config.get("from"), str, "from")
        return super().read({**{key: value for key, value in config.items() if key != "from"}, "source": source})

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
        return Path(self.source).name

    def _denoiser(self) -> Denoiser:
        device = "cuda" if self.device == "auto" and torch.cuda.is_available() else "cpu"
        denoiser: Denoiser = Denoiser.from_pretrained(find_denoiser(self.source), device).eval()
        if denoiser.conditioner is not None:
            raise InputError(f"from={self.source} is a vocoder, whose signals follow its input: give another denoiser.")
        if denoiser.signal_shape is None:
            raise InputError(
                f"{self.source} does not say the shape of its signals: its config.json lacks signal.shape."
            )
        return denoiser

    def _out(self) -> Path:
        if self.out is not None:
            return self.out
        folder = Path(self.source)
        if not (folder / "config.yaml").is_file():
            raise InputError(f"from={folder} is not a run: say with out=FILE where the figure goes.")
        return folder / f"{self.figure}.html"
