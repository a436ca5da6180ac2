"""``mmspec analyze``: the figures of "Diffusion Probabilistic Model Made Slim", of a denoiser of yours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from mmspec.analysis import figures
from mmspec.analysis.difference import amplitude_difference
from mmspec.analysis.output import Plate, write
from mmspec.analysis.wiener import power_law, wiener_filter
from mmspec.commands import frequency_bias, walks
from mmspec.config import plain
from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.report.drawing import LINES
from mmspec.training.run import read_config


def run(cfg: DictConfig) -> None:
    """Draw the figure that conf/figure/<name>.yaml describes, and print where it is.

    Raises:
        InputError: if a source cannot be read or a key cannot be used.
    """
    config = plain(cfg)
    print(FIGURES[config["figure"]](config))


def wiener(config: Mapping[str, Any]) -> Path:
    """Draw what conf/figure/wiener.yaml describes; returns the file."""
    out, abars = Path(config["out"]), config["abar"]
    if not abars or not all(0 < abar <= 1 for abar in abars) or config["highest"] < 2 or len(abars) >= len(LINES):
        raise InputError(f"abar must be 1 to {len(LINES) - 1} numbers above 0 and up to 1, and highest 2 or more.")
    frequency = torch.logspace(0, np.log10(config["highest"]), 400, dtype=torch.float64)
    power = power_law(frequency, config["amplitude"], config["alpha"])
    gains = {abar: wiener_filter(power, abar).numpy() for abar in abars}
    caption = f"For signals with the power spectrum {config['amplitude']:g} f^-{config['alpha']:g} in white noise."
    legend = [(colour, f"abar = {abar:g}") for colour, abar in enumerate(abars, start=1)]
    plate = Plate("Wiener filters", figures.wiener_filters(frequency.numpy(), gains), caption, legend)
    write(out, "Wiener filters", "The less noise, the wider the band that the optimal linear filter passes.", [plate])
    return out


def differences(config: Mapping[str, Any]) -> Path:
    """Draw what conf/figure/differences.yaml describes; returns the file."""
    out, folders = Path(config["out"]), [Path(folder) for folder in config["runs"]]
    if not 1 <= len(folders) <= 3:
        raise InputError(f"runs must be 1 to 3 folders, not {len(folders)}.")
    real_folder = config["data"] or read_config(folders[0]).get("data", {}).get("test")
    if real_folder is None:
        raise InputError(f"{folders[0]} has no data.test: give data=FOLDER, a packed data set of real signals.")
    sets = [PackedDataset(real_folder), *(PackedDataset(_samples(folder)) for folder in folders)]
    names = ["real", *(folder.name for folder in folders)]
    if len(set(names)) < len(names):
        names[1:] = map(str, folders)
    for dataset in sets[1:]:
        if dataset.meta.shape != sets[0].meta.shape:
            raise InputError(
                f"{dataset.folder} has signals {dataset.meta.shape}, {real_folder} has {sets[0].meta.shape}: compare "
                "sets that were prepared alike."
            )
    signals = {name: dataset.batch(_first(dataset, config))[0] for name, dataset in zip(names, sets, strict=True)}
    found = {name: amplitude_difference(signals["real"], signals[name]) for name in names[1:]}
    rate = sets[0].meta.sample_rate
    figure = figures.differences(
        {name: x.numpy() for name, x in signals.items()},
        {name: difference.decibels.numpy() for name, difference in found.items()},
        "cycles per image" if rate is None else "frequency (Hz)",
        1.0 if rate is None else rate / sets[0].meta.shape[-1],
    )
    means = ", ".join(f"{name} {difference.mean:.2f} dB" for name, difference in found.items())
    counts = ", ".join(f"{len(x):,} {name}" for name, x in signals.items())
    caption = (
        "Above: samples; below: mean DFT amplitude, generated minus real, in dB, negative where generated signals lack "
        f"energy. Mean absolute difference over all frequencies but 0: {means} ({counts})."
    )
    legend = [(1, "less than real"), (2, "more than real")] if rate is None else list(enumerate(names))
    plate = Plate("Samples, and differences of their spectra", figure, caption, legend)
    write(out, "Differences", "How far generated spectra are from real ones.", [plate])
    return out


def _samples(folder: Path) -> Path:
    """The final samples of a run, or the folder itself."""
    final = folder / "samples" / "final"
    return final if final.is_dir() else folder


def _first(dataset: PackedDataset, config: Mapping[str, Any]) -> np.ndarray:
    return np.arange(min(len(dataset), config["num"]))


FIGURES = {
    "frequency_bias": frequency_bias.run,
    "wiener": wiener,
    "filters": walks.filters,
    "predictions": walks.predictions,
    "gates": walks.gates,
    "differences": differences,
}
