"""The clean signals that a command hands to a denoiser: to train on, or to sample from their spectrograms."""

import math

import numpy as np
import torch

from mmspec.data import StoredDataset
from mmspec.data.crops import Crops
from mmspec.data.meta import FILE as META
from mmspec.data.recordings import Recordings
from mmspec.data.shards import ShardedDataset
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.experiment.recordings import recordings_for, require_rate
from mmspec.networks import FirstStage
from mmspec.training.run import Run
from mmspec.typed import checked

MEASURED = 16  # samples whose latents are made to measure their deviation


def training_signals(
    dataset: StoredDataset, denoiser: Denoiser, crop: int | None, latents: StoredDataset | None = None
) -> StoredDataset | Crops:
    """The samples of a data set, or every stretch of ``crop`` samples of its recordings, with the margin that the
    denoiser's conditioner needs; or latents of the samples.

    Raises:
        InputError: if the sample rates differ, pictures are to be cropped, or latents are not those that the denoiser's
            first stage makes of the data set.
    """
    require_rate(dataset, denoiser)
    if latents is not None:
        _require_latents_of(latents, dataset, denoiser)
        if crop is not None or denoiser.conditioner is not None:
            raise InputError("data.latents are of whole samples: leave data.crop and the conditioner out.")
        return latents
    if crop is None and denoiser.conditioner is None:
        return dataset
    if isinstance(dataset, ShardedDataset) and dataset.streamed:
        raise InputError(
            f"stretches of recordings are read in any order, which {dataset.locations[0]} does not allow: give "
            "data.shards as files, or prepare recordings of one length (--seconds) and leave data.crop out."
        )
    if denoiser.conditioner is None:
        return Crops(dataset, crop or dataset.meta.shape[-1])
    margin = denoiser.conditioner.margin
    return Crops(dataset, crop or dataset.meta.shape[-1], denoiser.conditioner.hop_samples, margin)


def deviation(dataset: StoredDataset, crop: int | None) -> float:
    """Standard deviation of what a denoiser trains on: of whole samples as preparation measured it, with the silence
    behind recordings; of crops, which hold sound alone, without it.

    Raises:
        InputError: if it was not measured.
    """
    measured, whole = dataset.meta.statistics, crop is None or dataset.lengths is None
    for name in ("mean", "std", "sigma_data"):
        checked(measured.get(name, 0.0), float, f"{dataset.folder / META}: statistics: {name}")
    if missing := [name for name in (("sigma_data",) if whole else ("mean", "std")) if name not in measured]:
        raise InputError(
            f"{dataset.folder} was packed without its {' and '.join(missing)} in meta.json's statistics, from which "
            "auto follows: prepare it by a program of data_prep, or give them to write_packed."
        )
    if crop is None or dataset.lengths is None:
        return float(measured["sigma_data"])
    sound = dataset.lengths.mean() / dataset.meta.shape[-1]  # its share of the array
    mean, power = measured["mean"] / sound, (measured["std"] ** 2 + measured["mean"] ** 2) / sound
    return math.sqrt(power - mean**2)


def _require_latents_of(latents: StoredDataset, dataset: StoredDataset, denoiser: Denoiser) -> None:
    again = f"make them again: mmspec prepare latents {dataset.folder} {latents.folder} --first-stage ..."
    if denoiser.first_stage is None:
        raise InputError(f"data.latents={latents.folder} is for a denoiser of latents: set first_stage.from, too.")
    if latents.meta.modality != "latent":
        raise InputError(f"data.latents={latents.folder} holds no latents but {latents.meta.modality} samples; {again}")
    if latents.meta.first_stage != denoiser.first_stage.sha256():
        raise InputError(f"{latents.folder} holds latents of another first stage (or of another scale); {again}")
    if latents.meta.encoded != dataset.meta.sha256:
        raise InputError(f"{latents.folder} holds latents of other data than {dataset.folder}; {again}")


def latent_deviation(dataset: StoredDataset, first_stage: FirstStage, latents: StoredDataset | None) -> float:
    """Standard deviation of latents: as measured when they were made, else of a few that are made now."""
    if latents is not None and "sigma_data" in latents.meta.statistics:
        return float(latents.meta.statistics["sigma_data"])
    rows = np.unique(np.linspace(0, len(dataset) - 1, MEASURED).astype(int))
    with torch.no_grad():
        return first_stage.encode(dataset.batch(rows)[0], torch.Generator().manual_seed(0)).std().item()


def whole_recordings(denoiser: Denoiser, folder: str | None, source: str, num: int | str) -> Recordings | None:
    """The recordings from whose spectrograms a vocoder samples; None for a denoiser without conditioner.

    Args:
        folder: packed data set; None for data.test of the run ``source``.
        num: how many are needed, or "all".

    Raises:
        InputError: if none are given or needed, they are fewer than ``num``, or of another sample rate or more
            channels.
    """
    if denoiser.conditioner is None:
        if folder is not None:
            raise InputError(f"recordings={folder}: this denoiser needs no recordings to sample from; leave it out.")
        return None
    run = Run.at(source)
    if folder is None and run is not None:
        folder = run.data("test")
    if folder is None:
        raise InputError("this denoiser samples from spectrograms: give recordings=, a packed data set of sound.")
    return recordings_for(denoiser, folder, num, denoiser.conditioner.margin)
