"""``mmspec train``: a packed data set and a configuration in, a run out."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from mmspec.commands.assemble import make_denoiser, make_objective, make_sampler
from mmspec.commands.labels import balanced_labels
from mmspec.components import construct, describe
from mmspec.config import plain
from mmspec.data import PackedDataset
from mmspec.data.media import overview
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.errors import InputError
from mmspec.training.trainer import Trainer, TrainerOptions
from mmspec.training.batches import step_seed
from mmspec.training.checkpoint import find_denoiser
from mmspec.training.run import open_run


def run(cfg: DictConfig) -> None:
    """Train, or go on with, the run in ``cfg.run_dir``."""
    config, folder = plain(cfg), Path(cfg.run_dir)
    dataset = PackedDataset(cfg.data.train)
    options = construct(TrainerOptions, config["trainer"], "trainer")
    torch.manual_seed(step_seed(cfg.seed))
    denoiser = _base_denoiser(config, dataset)
    _fill_sigma_data(config, dataset, denoiser)
    if denoiser is None:
        denoiser = make_denoiser(config, dataset.meta, cfg.data.labels)
    trainer = Trainer(
        denoiser,
        make_objective(config),
        dataset,
        options,
        folder,
        seed=cfg.seed,
        num_classes=len(denoiser.classes or ()),
        preview=_preview(config, folder),
    )
    config["data"]["sha256"] = dataset.meta.sha256
    with trainer.accelerator.main_process_first():
        checkpoint = open_run(folder, config, cfg.resume)
    trainer.train(checkpoint)


def _base_denoiser(config: dict[str, Any], dataset: PackedDataset) -> Denoiser | None:
    """The denoiser that ``init_from`` names; the config then says what it is made of."""
    if config["init_from"] is None:
        return None
    denoiser = Denoiser.from_pretrained(find_denoiser(config["init_from"]))
    if denoiser.signal_shape != tuple(dataset.meta.shape):
        raise InputError(
            f"init_from={config['init_from']} was trained on signals of shape {denoiser.signal_shape}, "
            f"{config['data']['train']} holds {tuple(dataset.meta.shape)}: prepare the data at that shape."
        )
    config["network"] = describe(denoiser.network)
    config["process"]["preconditioning"] = describe(denoiser.preconditioning)
    return denoiser


def _fill_sigma_data(config: dict[str, Any], dataset: PackedDataset, denoiser: Denoiser | None) -> None:
    """``sigma_data: auto`` is what the base denoiser has, else what preparation measured."""
    measured = dataset.meta.statistics["sigma_data"]
    sigma_data = denoiser.preconditioning.config.get("sigma_data", measured) if denoiser else measured
    for part in config["process"].values():
        if part.get("sigma_data") == "auto":
            part["sigma_data"] = sigma_data


def _preview(config: dict[str, Any], folder: Path) -> Any:
    options, sampler = config["preview"], make_sampler(config)

    def preview(denoiser: Denoiser, step: int) -> None:
        labels = balanced_labels(denoiser, options["num"])
        samples = sample(
            denoiser,
            (options["num"], *(denoiser.signal_shape or ())),
            sampler=sampler,
            steps=options["steps"],
            labels=labels,
            guidance=options["guidance"] if labels is not None else None,
            generator=seeded(range(options["num"])),
        )
        file = folder / "samples" / f"step_{step:08d}.png"
        file.parent.mkdir(exist_ok=True)
        overview(samples.clamp(-1, 1).cpu(), denoiser.sample_rate).save(file)

    return preview
