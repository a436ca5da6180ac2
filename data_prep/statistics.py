"""What a data set measures: what to set sigma_data to, and the power spectrum to hold generated samples against."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmspec.data import DatasetMeta, PackedDataset, StoredDataset
from mmspec.data.values import decode
from mmspec.errors import InputError

CHUNK_VALUES = 1 << 22
SPECTRUM_SAMPLES = 4096
SPECTRUM_BINS = 256


@dataclass(frozen=True)
class Sums:
    """Of all values in [-1, 1], and of their squares."""

    total: float
    squares: float


def sums_of(stored: np.ndarray) -> Sums:
    """Of one sample as it is stored, uint8 or int16, without torch."""
    scale, offset = (127.5, 1) if stored.dtype == np.uint8 else (32768, 0)
    total = squares = 0.0
    flat = stored.reshape(-1)
    for start in range(0, len(flat), CHUNK_VALUES):
        values = flat[start : start + CHUNK_VALUES].astype(np.float32) / np.float32(scale) - offset
        total += float(values.sum(dtype=np.float64))
        squares += float(np.square(values, dtype=np.float64).sum())
    return Sums(total, squares)


def sums(dataset: PackedDataset) -> Sums:
    """By reading all of a packed set."""
    total = squares = 0.0
    stored = dataset.data.reshape(-1)
    for start in range(0, len(stored), CHUNK_VALUES):
        values = decode(np.array(stored[None, start : start + CHUNK_VALUES])).double()
        total += float(values.sum())
        squares += float(values.square().sum())
    return Sums(total, squares)


def moments(meta: DatasetMeta, sums: Sums) -> dict[str, Any]:
    """``mean``, ``std`` and ``sigma_data``, as for `measure`; raises as it does."""
    size = meta.count * int(np.prod(meta.shape))
    mean = sums.total / size
    std = max(0.0, sums.squares / size - mean**2) ** 0.5
    if std < 1e-6:
        raise InputError(f"All samples of {meta.source} have one and the same value: there is nothing to learn.")
    return {"mean": round(mean, 6), "std": round(std, 6), "sigma_data": round(std, 6)}


def measure(dataset: StoredDataset, sums: Sums) -> dict[str, Any]:
    """Mean and standard deviation of all values in [-1, 1] (padding included, as networks see it), and the spectrum.

    Returns:
        ``mean``, ``std``, ``sigma_data`` (EDM's name for the standard deviation) and ``power_spectrum``: ``unit``
        ("cycles/image" or "Hz"), ``frequency`` and ``power``, the mean over channels and ``samples`` samples spread
        evenly over the set, in the scale of `mmspec.spectral.radial_power_spectrum`; neighbouring frequencies are
        averaged where there are more than 256, and of long sound the first 4,194,304 samples count.

    Raises:
        InputError: if all values are equal, so that there is nothing to learn.
    """
    from mmspec.spectral import radial_power_spectrum

    meta, found = dataset.meta, moments(dataset.meta, sums)
    step = max(1, CHUNK_VALUES // int(np.prod(meta.shape)))
    spread = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), SPECTRUM_SAMPLES)).astype(int))
    power = np.zeros(1)
    for rows in np.array_split(spread, -(-len(spread) // step)):
        stored = dataset.stored(rows)
        stored = stored if meta.modality == "image" else stored[:, :CHUNK_VALUES]
        frequency, part = radial_power_spectrum(decode(stored), meta.sample_rate)
        power = power + part.double().mean(1).sum(0).numpy() / len(spread)
    return {
        **found,
        "power_spectrum": {
            "unit": "cycles/image" if meta.modality == "image" else "Hz",
            "samples": len(spread),
            "frequency": _averaged(frequency.double().numpy()),
            "power": _averaged(power),
        },
    }


def _averaged(values: np.ndarray) -> list[float]:
    """At most SPECTRUM_BINS means of neighbours, to six digits."""
    parts = np.array_split(values, min(len(values), SPECTRUM_BINS))
    return [float(f"{part.mean():.6g}") for part in parts]
