"""Figures of one denoiser: its filters, its predictions and its gates along a sampler's walk."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmspec.analysis import figures
from mmspec.analysis.output import Plate, write
from mmspec.analysis.trajectory import Trajectory, chosen_calls, recorded
from mmspec.analysis.wiener import measure_filter
from mmspec.commands.assemble import make_sampler
from mmspec.commands.labels import choose_classes, rows
from mmspec.commands.texts import dataset_texts, sampling_texts
from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.errors import InputError
from mmspec.metrics.spectrum import MeanSpectrum
from mmspec.training.checkpoint import find_denoiser
from mmspec.training.run import read_config

BANDS = {2: ("L", "H"), 4: ("LL", "LH", "HL", "HH")}


def filters(config: Mapping[str, Any]) -> Path:
    """Draw what conf/figure/filters.yaml describes; returns the file."""
    denoiser, out = _denoiser(config), _out(config)
    if not config["sigmas"] or min(config["sigmas"]) <= 0 or config["num"] < 1 or config["batch_size"] < 1:
        raise InputError("sigmas must be above 0, num and batch_size 1 or more.")
    sigmas = denoiser.round_sigma(torch.tensor(config["sigmas"], dtype=torch.float64)).unique().tolist()
    batches = list(_clean_batches(config, denoiser))
    found = {sigma: measure_filter(denoiser, batches, sigma, config["seed"]) for sigma in sigmas}
    first = found[sigmas[0]]
    figure = figures.measured_filters(
        first.frequency.numpy(),
        {sigma: gains.measured.numpy() for sigma, gains in found.items()},
        {sigma: gains.predicted.numpy() for sigma, gains in found.items()},
        first.unit,
    )
    what = "signals" if denoiser.first_stage is None else "latents"
    caption = (
        f"Gain by which D(x; σ) passes each frequency of x, by regression over {config['num']} {what}; wide and pale: "
        "S / (S + σ²) with their power spectrum S, the gain of the optimal denoiser."
    )
    legend = [(colour, f"σ = {sigma:.3g}") for colour, sigma in enumerate(sigmas, start=1)]
    plate = Plate(f"Filters of {_name(config)}", figure, caption, legend)
    write(out, "Filters", f"Which frequencies {config['from']} lets pass.", [plate])
    return out


def predictions(config: Mapping[str, Any]) -> Path:
    """Draw what conf/figure/predictions.yaml describes; returns the file."""
    denoiser, out = _denoiser(config), _out(config)
    trajectory = _walk(config, denoiser, keep=True)
    chosen = chosen_calls(trajectory.sigmas, config["shown"])
    signals = [denoiser.decode(trajectory.predictions[call].to(_device(denoiser))).cpu() for call in chosen]
    spectra = [_spectrum(x, denoiser) for x in signals]
    folder = _data_folder(config, needed=False)
    real = None
    if folder is not None:
        dataset = PackedDataset(folder)
        real = _spectrum(_signals(dataset, _spread(len(dataset), 256), denoiser)[0], denoiser).power.numpy()
    sigmas = [trajectory.sigmas[call] for call in chosen]
    figure = figures.predictions(
        np.stack([x[0].numpy() for x in signals]),
        sigmas,
        spectra[0].frequency.numpy(),
        np.stack([spectrum.power.numpy() for spectrum in spectra]),
        real,
        spectra[0].unit,
    )
    legend = [] if real is None else [(0, "real")]
    legend += [(colour, f"σ = {sigma:.2g}") for colour, sigma in enumerate(sigmas, start=1)]
    caption = (
        f"Above: x0_hat of one sample; below: mean power of {config['num']} predictions. White noise of variance 1 has "
        "0 dB."
    )
    plate = Plate(f"Predictions of {_name(config)}", figure, caption, legend)
    write(out, "Predictions", f"What {config['from']} predicts while it samples.", [plate])
    return out


def gates(config: Mapping[str, Any]) -> Path:
    """Draw what conf/figure/gates.yaml describes; returns the file."""
    denoiser, out = _denoiser(config), _out(config)
    trajectory = _walk(config, denoiser, keep=False)
    found = {name.removeprefix("network."): values.numpy() for name, values in trajectory.mean_gates().items()}
    bands = next(iter(found.values())).shape[1]
    figure = figures.gate_values(trajectory.sigmas, found)
    caption = f"Means over {config['num']} samples; time runs to the right. An open gate is 1."
    legend = list(enumerate(BANDS.get(bands, tuple(f"band {i}" for i in range(bands))), start=1))
    lead = f"Which sub-bands {config['from']} passes on while it samples."
    write(out, "Gates", lead, [Plate(f"Gates of {_name(config)}", figure, caption, legend)])
    return out


def _denoiser(config: Mapping[str, Any]) -> Denoiser:
    device = "cuda" if config["device"] == "auto" and torch.cuda.is_available() else "cpu"
    denoiser = Denoiser.from_pretrained(find_denoiser(config["from"]), device).eval()
    if denoiser.conditioner is not None:
        raise InputError(f"from={config['from']} is a vocoder, whose signals follow its input: give another denoiser.")
    if denoiser.signal_shape is None:
        raise InputError(f"{config['from']} does not say the shape of its signals: its config.json lacks signal.shape.")
    return denoiser


def _name(config: Mapping[str, Any]) -> str:
    return Path(config["from"]).name


def _device(denoiser: Denoiser) -> torch.device:
    return next(denoiser.parameters()).device


def _out(config: Mapping[str, Any]) -> Path:
    if config["out"] is not None:
        return Path(config["out"])
    folder = Path(config["from"])
    if not (folder / "config.yaml").is_file():
        raise InputError(f"from={folder} is not a run: say with out=FILE where the figure goes.")
    return folder / f"{config['figure']}.html"


def _data_folder(config: Mapping[str, Any], needed: bool) -> str | None:
    """``data``, or data.test of the run; if it is not needed it may be absent."""
    if config["data"] is not None:
        return config["data"]
    folder = Path(config["from"])
    data = read_config(folder).get("data", {}).get("test") if (folder / "config.yaml").is_file() else None
    if needed and data is None:
        raise InputError(f"{folder} has no data.test: give data=FOLDER, a packed data set of clean signals.")
    return data if needed or (data and Path(data).is_dir()) else None


def _spread(count: int, num: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(num, count)).round().astype(int)


def _signals(dataset: PackedDataset, indices: np.ndarray, denoiser: Denoiser) -> tuple[Tensor, Tensor | None]:
    """Clean signals of the denoiser's shape; of longer recordings their beginnings."""
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


def _clean_batches(config: Mapping[str, Any], denoiser: Denoiser) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    dataset = PackedDataset(_data_folder(config, needed=True) or "")
    labelled = bool(denoiser.classes) and dataset.meta.classes == tuple(denoiser.classes or ())
    texts = dataset_texts(config, denoiser, dataset)
    indices = _spread(len(dataset), config["num"])
    for start in range(0, len(indices), config["batch_size"]):
        chosen = indices[start : start + config["batch_size"]]
        x0, labels = _signals(dataset, chosen, denoiser)
        cond = {"labels": rows(denoiser, labels).to(_device(denoiser))} if labelled and labels is not None else {}
        if texts is not None:
            cond["context"] = texts(chosen)["context"]
        yield denoiser.encode(x0.to(_device(denoiser))), cond


def _walk(config: Mapping[str, Any], denoiser: Denoiser, keep: bool) -> Trajectory:
    """Sample, and listen."""
    if config["num"] < 1:
        raise InputError(f"num must be 1 or more, not {config['num']}.")
    chosen = choose_classes(denoiser, config["labels"], config["num"])
    texts = sampling_texts(config, denoiser, config["num"])
    told: dict[str, Any] = {} if texts is None else texts(range(config["num"]))
    with recorded(denoiser, predictions=keep) as trajectory:
        if not keep and not trajectory.gates:
            raise InputError(f"from={config['from']} has no wavelet gates: give a denoiser with network=wavelet_unet.")
        sample(
            denoiser,
            (config["num"], *(denoiser.signal_shape or ())),
            sampler=make_sampler(config),
            steps=config["steps"],
            generator=seeded([config["seed"] + index for index in range(config["num"])]),
            labels=None if chosen is None else rows(denoiser, chosen),
            **told,
        )
    return trajectory


def _spectrum(x: Tensor, denoiser: Denoiser) -> Any:
    spectrum = MeanSpectrum(denoiser.sample_rate)
    spectrum.update(x)
    return spectrum.result()
