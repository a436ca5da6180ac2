"""Figures of the runs that are chosen, as SVG files that follow the reader's light or dark mode."""

from collections.abc import Sequence
from threading import Lock

import numpy as np

from mmspec.analysis import walk_figures
from mmspec.drawing.figure import Figure
from mmspec.gallery.colours import colour, colours, rules
from mmspec.gallery.shown import Shown
from mmspec.report.curves import spectrum_figures, training_figures

_LOCK = Lock()  # matplotlib's settings are the process's
_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


class Drawings:
    """Figures of runs as they were last asked for, drawn once."""

    def __init__(self) -> None:
        self._key: object = None
        self._drawn: list[tuple[Figure, str]] = []

    def of(self, runs: Sequence[tuple[int, Shown]]) -> list[tuple[Figure, str]]:
        """Spectra, curves of training and gates along walks, of runs with their indices, each with its
        SVG file; what their files allow.

        Raises:
            InputError: if a file cannot be read.
        """
        with _LOCK:
            key = [(index, run.stamp()) for index, run in runs]
            if key != self._key:
                reported = [(colour(index), run.reported()) for index, run in runs]
                figures = [*spectrum_figures(reported), *training_figures(reported), *_gates(runs)]
                self._key, self._drawn = key, [(figure, standing_alone(figure)) for figure in figures]
            return self._drawn


def _gates(runs: Sequence[tuple[int, Shown]]) -> list[Figure]:
    """Of the networks whose walks were kept and that have any."""
    return [
        walk_figures.gates(
            walk.sigmas,
            {layer: np.array(gates) for layer, gates in walk.gates.items()},
            walk.samples,
            f"Gates of {run.name} ({name})",
        )
        for _, run in runs
        for name, walk in run.walks().items()
        if walk.gates
    ]


def standing_alone(figure: Figure) -> str:
    """A figure's drawing as a file that needs no page."""
    svg = str(figure.svg)  # as text, which is not escaped again
    style = colours() + rules(r"@media \(max-width: 430px\) \{ svg text .*?\}$")
    return svg.replace("<svg ", f"<svg {_NAMESPACES} ", 1).replace(">", f"><style>{style}</style>", 1)
