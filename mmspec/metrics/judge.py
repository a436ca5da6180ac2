"""What judges share: metrics of feature vectors by a network or transform that conf/evaluate.yaml switches on."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.data.crops import Crops, Recordings
from mmspec.metrics.evaluation import Metric
from mmspec.metrics.features import Extractor
from mmspec.metrics.frechet import frechet_distance, kernel_distance_in_blocks, moments


@dataclass(frozen=True)
class Verdict:
    """Metrics, and what to mind when reading them."""

    metrics: list[Metric]
    warnings: list[str]

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(self.metrics + other.metrics, self.warnings + other.warnings)


class Judge(ABC):
    """Compares two sets by their feature vectors.

    Attributes:
        extractor: signals ``[B, C, *spatial]`` -> feature vectors ``[n, D]``, one or more a signal.
        key: says all that the vectors of a signal depend on, or None where they are not worth keeping.
    """

    extractor: Extractor
    key: str | None = None

    @abstractmethod
    def compare(self, real: Tensor, generated: Tensor) -> Verdict:
        """Judge ``[M, D]`` generated vectors against ``[N, D]`` real ones."""


Signals = PackedDataset | Crops | Recordings  # samples of one size, stretches, or recordings as long as they are


@torch.no_grad()
def extract(extractor: Extractor, signals: Signals, indices: Tensor, batch_size: int, device: torch.device) -> Tensor:
    """Feature vectors of the signals at ``indices`` (``[N]``), float32 ``[n, D]`` in their order."""
    extractor = extractor.to(device).eval()
    if isinstance(signals, Recordings):
        parts = [extractor(signals[index].to(device)) for index in indices.tolist()]
    else:
        parts = [extractor(signals.batch(rows.numpy())[0].to(device)) for rows in indices.split(batch_size)]
    return torch.cat([part.float().cpu() for part in parts])


def extract_once(judge: Judge, signals: Signals, cache: Path | None, batch_size: int, device: torch.device) -> Tensor:
    """Feature vectors of all signals, kept in the folder ``cache`` under the checksums of data and network."""
    everything = torch.arange(len(signals))
    if cache is None or judge.key is None:
        return extract(judge.extractor, signals, everything, batch_size, device)
    whole = "-whole" if isinstance(signals, Recordings) else ""
    file = cache / f"{signals.meta.sha256[:16]}-{judge.key}{whole}.npy"
    try:
        return torch.from_numpy(np.load(file, allow_pickle=False))
    except (FileNotFoundError, ValueError, EOFError):  # none yet, or a damaged one
        pass
    features = extract(judge.extractor, signals, everything, batch_size, device)
    cache.mkdir(parents=True, exist_ok=True)
    beside = cache / f".{file.name}.{os.getpid()}"
    with beside.open("wb") as stream:
        np.save(stream, features.numpy())
    os.replace(beside, file)
    return features


def gaussian_and_kernel(names: tuple[str, str], real: Tensor, generated: Tensor, definition: str, what: str) -> Verdict:
    """Fréchet and kernel distance of two sets of vectors, with a warning where the first has too few of them.

    Args:
        names: of the two metrics.
        real: ``[N, D]``.
        generated: ``[M, D]``.
        definition: a noun phrase that says what the vectors are.
        what: they are called in counts.
    """
    fewest, dimensions = min(len(real), len(generated)), real.shape[1]
    counts = f"{len(generated):,} generated, {len(real):,} real {what}"
    metrics = [
        Metric(
            names[0],
            frechet_distance(moments(real), moments(generated)),
            f"Fréchet distance (float64, by eigenvalues) between Gaussians fitted to {definition}; {counts}; lower is "
            "better, and comparable at equal counts only.",
        ),
        Metric(
            names[1],
            kernel_distance_in_blocks(real, generated),
            f"Squared maximum mean discrepancy (the unbiased cubic kernel of KID, averaged over random blocks of some "
            f"1,000) of {definition}; {counts}; lower is better.",
        ),
    ]
    if fewest > dimensions:
        return Verdict(metrics, [])
    warning = (
        f"{counts} are too few for {names[0]} over {dimensions:,} dimensions, which is then biased upwards: read "
        f"{names[1]}, or generate more samples."
    )
    return Verdict(metrics, [warning])
