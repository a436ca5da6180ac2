"""Which sub-bands a slim denoiser passes on along a sampler's walk."""

from dataclasses import dataclass
from pathlib import Path

from mmspec.analysis import walk_figures
from mmspec.diffusion import Denoiser
from mmspec.drawing.figure_page import write_figures
from mmspec.experiment.figures.walks import WalkFigure


@dataclass(frozen=True, kw_only=True)
class Gates(WalkFigure):
    """The keys of conf/figure/gates.yaml, which says what they mean."""

    def write(self, out: Path, denoiser: Denoiser) -> None:
        """Gates of every resampling layer, means over the samples."""
        trajectory = self.walk(denoiser, predictions=False)
        found = {name.removeprefix("network."): values.numpy() for name, values in trajectory.mean_gates().items()}
        figure = walk_figures.gates(trajectory.sigmas, found, self.num, f"Gates of {self.name}")
        write_figures(out, "Gates", f"Which sub-bands {self.from_} passes on while it samples.", [figure])
