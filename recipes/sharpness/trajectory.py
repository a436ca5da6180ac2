"""How the spectrum of samples moves while a denoiser is trained: a JSON for each network and seed.

A run is trained in legs; after each, samples of the same noise are drawn and compared with held-out pictures.
"""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from data_prep.options import whole_number
from data_prep.preparation import run
from mmspec.config import compose, plain
from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.experiment.evaluation import EvaluationOptions, evaluate, find_sources
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.sample_folder import SampleOptions
from mmspec.experiment.sampling import write_draws
from mmspec.experiment.training import train
from mmspec.metrics.comparison import sets_of
from mmspec.metrics.octaves import described
from mmspec.metrics.report_card import levels_db, subtract
from mmspec.metrics.statistics import half_differences
from mmspec.typed import read
from recipes.common.results import is_done, listed, write

NETWORKS = {"unet": "small_unet", "wavelet_unet": "small_wavelet_unet"}  # of equal parameters and MACs


@dataclass(frozen=True)
class Settings:
    """What is equal in all runs of a data set; a result remembers it.

    Attributes:
        train, test: SHA-256 of the packed sets.
        num: samples after each leg.
        sampling: steps of Heun's sampler.
    """

    train: str
    test: str
    num: int
    sampling: int


def experiment(folder: Path, data: Path, network: str, seed: int, steps: int) -> Experiment:
    """The training of one run, up to so many steps."""
    given = ["experiment=sharpness", f"network={NETWORKS[network]}", f"seed={seed}", f"trainer.max_steps={steps}"]
    paths = {"run_dir": str(folder), "data": {"train": str(data / "train"), "test": str(data / "test")}}
    config = plain(compose("train", [*given, "run_dir=.", "data.train=.", "trainer.tensorboard=false"]))
    return read(Experiment, {**config, **paths, "data": {**config["data"], **paths["data"]}})


def measured(folder: Path, data: Path, seed: int, settings: Settings) -> dict[str, float]:
    """Metrics of samples of a run as it stands."""
    config = plain(compose("sample", ["from=."]))
    out = folder / "samples"
    options = {"num": settings.num, "steps": settings.sampling, "seed": 1_000_000 * seed, "out": str(out)}
    write_draws(read(SampleOptions, {**config, **options, "from": str(folder)}))
    config = plain(compose("evaluate", ["samples=."]))
    given = {"samples": str(out), "reference": str(data / "test")}
    evaluation = evaluate(chosen := read(EvaluationOptions, {**config, **given}), find_sources(chosen))
    return {metric.name: float(f"{metric.value:.6g}") for metric in evaluation.metrics}


def null(data: Path) -> list[list[float]]:
    """What two halves of the held-out set differ by: 95% of it, ``[octaves][2]`` in dB."""
    test = PackedDataset(data / "test")
    if len(test) < 2:
        raise InputError(f"{data / 'test'} holds 1 picture, which has no halves: prepare more.")
    everything, device = torch.arange(len(test)), torch.device("cpu")
    found = sets_of(test, everything, crop=None, cut=False, batch_size=64, device=device)["stretches"]
    levels = levels_db(found.statistic(described), found.statistic(described))[0]
    halves = half_differences(levels, subtract).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), 0)
    return [[round(value, 4) for value in ends] for ends in halves.T.tolist()]


def follow(folder: Path, data: Path, network: str, seed: int, steps: list[int], settings: Settings) -> dict[str, Any]:
    """Train one run, and measure it after each of so many steps."""
    after = {}
    for step in steps:
        train(experiment(folder, data, network, seed, step))
        after[str(step)] = measured(folder, data, seed, settings)
    return {"network": network, "seed": seed, "after": after}


def main(arguments: list[str] | None = None) -> int:
    """Do what is not done yet; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.sharpness.trajectory", description=__doc__)
    for option in ("--data", "--runs", "--results"):
        parser.add_argument(option, type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--networks", type=listed(str), default=list(NETWORKS), metavar="LIST")
    parser.add_argument("--seeds", type=listed(int), required=True, metavar="LIST")
    parser.add_argument("--steps", type=listed(int), required=True, metavar="LIST")
    parser.add_argument("--num", type=whole_number, required=True, metavar="N")
    parser.add_argument("--sampling", type=whole_number, default=18, metavar="STEPS")
    options = parser.parse_args(arguments)
    return run(lambda: _follow_all(options))


def _follow_all(options: argparse.Namespace) -> str:
    if unknown := [network for network in options.networks if network not in NETWORKS]:
        raise InputError(f"--networks {unknown[0]}: expected some of {', '.join(NETWORKS)}.")
    sums = [PackedDataset(options.data / part).meta.sha256 for part in ("train", "test")]
    settings = Settings(*sums, options.num, options.sampling)
    known = {**asdict(settings), "steps": options.steps}
    name = options.data.name
    if not is_done(file := options.results / f"{name}-null.json", {"test": settings.test}):
        write(file, {"test": settings.test}, {"null": null(options.data)})
    for seed in options.seeds:
        for network in options.networks:
            file = options.results / f"{name}-{network}-{seed}.json"
            if is_done(file, known):
                print(f"{file}: done before")
                continue
            found = follow(options.runs / file.stem, options.data, network, seed, options.steps, settings)
            write(file, known, found)
            print(f"{file}: {found['after'][str(options.steps[-1])]['octave_error']:.2f} dB", flush=True)
    return f"{options.results}: {len(list(options.results.glob(f'{name}-*-*.json')))} runs"


if __name__ == "__main__":
    sys.exit(main())
