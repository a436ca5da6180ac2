"""The real signals that figures are measured on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmspec.data import StoredDataset
from mmspec.data.crops import Crops
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import Batch, Labels, tell
from mmspec.errors import InputError
from mmspec.experiment.conditions import class_numbers, dataset_context
from mmspec.experiment.recordings import require_rate
from mmspec.training.run import Run


def held_out(folder: Path) -> Path | None:
    """data.test of a run; None where there is none, or no run."""
    run = Run.at(folder)
    data = run.data("test") if run else None
    return None if data is None else Path(data)


def spread(count: int, num: int) -> np.ndarray:
    """Indices of ``num`` of ``count`` signals, evenly spread over them; of all where there are not as many."""
    return np.linspace(0, count - 1, min(num, count)).round().astype(int)


def clean_signals(dataset: StoredDataset, indices: np.ndarray, denoiser: Denoiser) -> tuple[Tensor, Tensor | None]:
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


def held_out_batches(
    denoiser: Denoiser, dataset: StoredDataset, num: int, batch_size: int, *, encoder: str | None, source: str
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Signals evenly spread over a set, ``[B, C, *spatial]`` as a denoiser sees them, and what `tell` says of them.

    Args:
        num: how many signals, or all where there are fewer; of a vocoder, stretches of recordings.
        batch_size: at a time.
        encoder: of texts, as for `dataset_context`.
        source: the run, if it is one, that the denoiser is from.

    Raises:
        InputError: if the signals are of another shape or sampling rate, or texts or their encoder are missing.
    """
    device = next(denoiser.parameters()).device
    numbers = class_numbers(denoiser.classes or (), dataset.meta.classes or ())
    conditions = [
        *(each for each in denoiser.conditions if numbers is not None or not isinstance(each, Labels)),
        *dataset_context(denoiser, dataset, encoder, source),
    ]
    stretches = _stretches(dataset, denoiser)
    indices = spread(len(dataset if stretches is None else stretches), num)
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        x0, labels = clean_signals(dataset, chosen, denoiser) if stretches is None else stretches.batch(chosen)
        known = None if labels is None or numbers is None else torch.tensor(numbers)[labels]
        batch = Batch(x0, known, chosen).to(device)
        yield denoiser.clean(batch.signals), tell(conditions, batch)


def _stretches(dataset: StoredDataset, denoiser: Denoiser) -> Crops | None:
    """Of recordings, side by side and as long as a vocoder's signals, with the margin of its spectrograms."""
    if denoiser.conditioner is None:
        return None
    require_rate(dataset, denoiser)
    length = (denoiser.signal_shape or dataset.meta.shape)[-1]
    return Crops(dataset, length, hop=length, margin=denoiser.conditioner.margin)
