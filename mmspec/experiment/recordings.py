"""Whether signals of a data set are what a denoiser is for, whether torch runs it or not."""

from typing import Protocol

from mmspec.data import StoredDataset, open_dataset
from mmspec.data.recordings import Recordings
from mmspec.errors import InputError


class OfRate(Protocol):
    """What is for signals of a sample rate in Hz, or for pictures, which have none."""

    @property
    def sample_rate(self) -> int | None:
        """In Hz; None of pictures."""


def require_rate(dataset: StoredDataset, denoiser: OfRate) -> None:
    """Raise InputError unless sound has the sample rate of a denoiser, and pictures a denoiser of pictures."""
    found, wanted = dataset.meta.sample_rate, denoiser.sample_rate
    if found != wanted:
        raise InputError(
            f"{dataset.folder} holds {f'sound at {found} Hz' if found else 'pictures'}, the denoiser is for "
            f"{f'sound at {wanted} Hz' if wanted else 'pictures'}: prepare the data for it."
        )


def recordings_for(denoiser: OfRate, folder: str, num: int | str, margin: int) -> Recordings:
    """The recordings from whose spectrograms a vocoder samples.

    Args:
        folder: packed data set.
        num: how many are needed, or "all".
        margin: as of `Recordings`.

    Raises:
        InputError: if they are fewer than ``num``, or of another sample rate or more channels.
    """
    dataset = open_dataset(folder)
    require_rate(dataset, denoiser)
    if dataset.meta.shape[0] != 1:
        raise InputError(f"{folder} has {dataset.meta.shape[0]} channels, a vocoder takes 1: prepare mono recordings.")
    if isinstance(num, int) and num > len(dataset):
        raise InputError(f"num={num}, but {folder} holds {len(dataset)} recordings: take fewer, or num=all.")
    return Recordings(dataset, margin)
