"""What models make of two frequencies, of which one is rare: figures, and a table with a row a model."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmspec.analysis import figures
from mmspec.analysis.frequency_bias import FREQUENCIES, MINORITY, SHARES, share_of, stray
from mmspec.drawing.figure import Figure
from mmspec.drawing.tables import TextTable

LARGE, SMALL = "large", "small"


@dataclass(frozen=True)
class Outcome:
    """What the signals of one seed hold: ``magnitude``, ``[num, frequencies]``."""

    magnitude: Tensor

    @property
    def minority(self) -> float:
        """Share of signals of the rarer frequency."""
        return share_of(MINORITY, self.magnitude)


def outcome_figures(real: Outcome, outcomes: Mapping[str, Sequence[Outcome]]) -> list[Figure]:
    """Magnitudes of the samples, their means, and the share of the rarer frequency (Diffusion Probabilistic Model Made
    Slim, figure 4).

    Args:
        real: of the first seed.
        outcomes: model -> one a seed; ``LARGE`` and ``SMALL`` are among them.
    """
    first = {"real": real.magnitude, **{name: outcomes[name][0].magnitude for name in (LARGE, SMALL)}}
    means = {"real": real.magnitude.mean(0)} | {
        name: torch.stack([outcome.magnitude.mean(0) for outcome in outcomes[name]]).mean(0) for name in (LARGE, SMALL)
    }
    legend = [(0, "real"), (1, "large network"), (2, "small network")]
    return [
        Figure(
            "Samples by their spectra",
            figures.magnitude_maps({name: values.numpy() for name, values in first.items()}),
            "DFT magnitude of each sample of the first seed, 0 to 1; a cosine of amplitude 1 has 1.",
            legend,
        ),
        Figure(
            "Mean spectra",
            figures.mean_magnitudes({name: values.numpy() for name, values in means.items()}),
            "Mean DFT magnitude of the samples; of models over all seeds.",
            legend,
        ),
        Figure(
            "Who finds the rarer frequency",
            figures.shares(
                {name: [outcome.minority for outcome in of_model] for name, of_model in outcomes.items()},
                SHARES[0],
                f"share of samples of {MINORITY} cycles",
            ),
            "A dot a seed, a bar at their mean; the line is the share among real signals.",
            [(0, "real"), (1, "one seed")],
        ),
    ]


def outcome_table(seeds: Sequence[int], outcomes: Mapping[str, Sequence[Outcome]]) -> TextTable:
    """Shares of the rarer frequency by seed, their mean and standard deviation, and mean magnitudes; a row a model."""
    rows = []
    for name, of_model in outcomes.items():
        minority = [outcome.minority for outcome in of_model]
        spread = f" ± {statistics.stdev(minority):.3f}" if len(minority) > 1 else ""
        at = [statistics.fmean(outcome.magnitude[:, a].mean().item() for outcome in of_model) for a in FREQUENCIES]
        rest = statistics.fmean(stray(outcome.magnitude) for outcome in of_model)
        shown = [*(f"{share:.3f}" for share in minority), f"{statistics.fmean(minority):.3f}{spread}"]
        rows.append([name, *shown, *(f"{value:.3f}" for value in at), f"{rest:.3f}"])
    strengths = [f"magnitude at {a}" for a in FREQUENCIES]
    headings = ["", *(f"seed {seed}" for seed in seeds), "mean", *strengths, "elsewhere"]
    return TextTable(f"Share of samples of {MINORITY} cycles", headings, rows)
