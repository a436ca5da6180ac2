"""The real signals that figures are measured on."""

from pathlib import Path

import numpy as np
from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.training.run import Run


def held_out(folder: Path) -> Path | None:
    """data.test of a run; None where there is none, or no run."""
    run = Run.at(folder)
    data = run.data("test") if run else None
    return None if data is None else Path(data)


def spread(count: int, num: int) -> np.ndarray:
    """Indices of ``num`` of ``count`` signals, evenly spread over them; of all where there are not as many."""
    return np.linspace(0, count - 1, min(num, count)).round().astype(int)


def clean_signals(dataset: PackedDataset, indices: np.ndarray, denoiser: Denoiser) -> tuple[Tensor, Tensor | None]:
    """Signals of the denoiser's shape, ``[B, C, *spatial]``, and their labels; of longer recordings the beginnings.

    Raises:
        InputError: if the signals are of another shape or sampling rate.
    """
    x0, labels = dataset.batch(indices)
    shape = denoiser.signal_shape or ()
    if len(shape) == 2 and x0.ndim == 3:
        x0 = x0[..., : shape[1]]
    if tuple(x0.shape[1:]) != shape or dataset.meta.sample_rate != denoiser.sample_rate:
        raise InputError(
            f"{dataset.folder} has signals {list(x0.shape[1:])} at {dataset.meta.sample_rate} Hz, the denoiser is for "
            f"{list(shape)} at {denoiser.sample_rate} Hz: prepare the data as for its training."
        )
    return x0, labels
