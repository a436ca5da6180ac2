"""``mmspec train``: a packed data set and a configuration in, a run out."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from mmspec.commands.assemble import (
    make_denoiser,
    make_first_stage,
    make_objective,
    make_sampler,
    signal_shape,
    with_teacher,
)
from mmspec.commands.auto import fill_auto
from mmspec.commands.labels import balanced_labels
from mmspec.commands.signals import deviation, latent_deviation, training_signals
from mmspec.commands.texts import Texts, training_texts
from mmspec.components import build, construct, describe
from mmspec.config import plain
from mmspec.data import PackedDataset
from mmspec.data.augment import AUGMENTATIONS, EDMAugment
from mmspec.data.media import overview
from mmspec.diffusion import Denoiser, Objective, sample, seeded
from mmspec.errors import InputError
from mmspec.training.batches import Dataset, step_seed
from mmspec.training.checkpoint import find_denoiser
from mmspec.training.run import open_run
from mmspec.training.trainer import Trainer, TrainerOptions


def run(cfg: DictConfig) -> None:
    """Train, or go on with, the run in ``cfg.run_dir``."""
    config, folder = plain(cfg), Path(cfg.run_dir)
    dataset = PackedDataset(cfg.data.train)
    options = construct(TrainerOptions, config["trainer"], "trainer")
    torch.manual_seed(step_seed(cfg.seed))
    denoiser = _base_denoiser(config, dataset)
    first_stage = denoiser.first_stage if denoiser else make_first_stage(config)
    latents = PackedDataset(cfg.data.latents) if cfg.data.latents else None
    if first_stage is None:
        measured = deviation(dataset, cfg.data.crop)
    else:
        measured = latent_deviation(dataset, first_stage, latents)
        config["first_stage"]["sha256"] = first_stage.sha256()
    config = fill_auto(config, denoiser.preconditioning.config.get("sigma_data", measured) if denoiser else measured)
    if denoiser is None:
        denoiser = make_denoiser(config, dataset.meta, first_stage)
    texts = training_texts(config, denoiser, dataset)
    signals = training_signals(dataset, denoiser, cfg.data.crop, latents)
    trainer = Trainer(
        denoiser,
        _objective(config, denoiser, signals, texts),
        signals,
        options,
        folder,
        seed=cfg.seed,
        num_classes=len(denoiser.classes or ()),
        preview=_preview(config, folder, signals, texts),
        texts=texts,
        augment=_augmentation(config, denoiser),
    )
    config["data"]["sha256"] = dataset.meta.sha256
    with trainer.accelerator.main_process_first():
        checkpoint = open_run(folder, config, cfg.resume)
    trainer.train(checkpoint)


def _base_denoiser(config: dict[str, Any], dataset: PackedDataset) -> Denoiser | None:
    """The denoiser that ``init_from`` names; the config then says what it is made of."""
    if config["init_from"] is None:
        return None
    source = find_denoiser(config["init_from"])
    denoiser = Denoiser.from_pretrained(source)
    if fingerprint := _fingerprint(source):
        config["init_from_sha256"] = fingerprint
    if config["first_stage"]["from"] is not None:
        raise InputError("first_stage.from and init_from exclude each other: init_from brings its own first stage.")
    shape = signal_shape(dataset.meta, config["data"]["crop"])
    if denoiser.signal_shape != shape:
        raise InputError(
            f"init_from={config['init_from']} was trained on signals of shape {denoiser.signal_shape}, "
            f"{config['data']['train']} gives {shape}: prepare the data at that shape, or set data.crop for sound."
        )
    found, known = (len(classes or ()) for classes in (dataset.meta.classes, denoiser.classes))
    if config["data"]["labels"] and found and known not in (0, found):
        raise InputError(
            f"init_from={config['init_from']} knows {known} classes, {config['data']['train']} has {found}: prepare "
            "the data with the same classes, or set data.labels=false."
        )
    config["network"] = describe(denoiser.network)
    config["conditioner"] = describe(denoiser.conditioner) if denoiser.conditioner else {}
    process, preconditioning = config["process"], describe(denoiser.preconditioning)
    process["preconditioning"] = preconditioning
    table = {key: value for key, value in preconditioning.items() if key in process["noise"] and key != "type"}
    process["noise"] |= table  # training draws from the levels that the base denoiser knows
    return denoiser


def _objective(config: dict[str, Any], denoiser: Denoiser, signals: Dataset, texts: Texts | None) -> Objective:
    """What is minimized, with a teacher where ``distillation`` asks for one; the config then says which it is."""
    objective, options = make_objective(config), config["distillation"]
    if not (options["spatial"] or options["frequency"] or options["steps"] is not None):
        return objective
    if options["teacher"] is None:
        raise InputError("distillation.teacher must be given: the run, checkpoint or saved denoiser to learn from.")
    source = find_denoiser(options["teacher"])
    teacher = Denoiser.from_pretrained(source)
    if fingerprint := _fingerprint(source):
        options["teacher_sha256"] = fingerprint
    clips, _ = signals.batch(np.zeros(1, int))
    x0, cond = denoiser.condition(clips)
    if texts is not None:
        cond["context"] = texts.empty
    return with_teacher(config, objective, teacher, denoiser, (x0, cond))


def _fingerprint(source: Path | str) -> str | None:
    """SHA-256 of a denoiser's weights, if they are here: a run with others is another run."""
    weights = Path(source) / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _augmentation(config: dict[str, Any], denoiser: Denoiser) -> EDMAugment | None:
    """What ``data.augment`` describes, if the network can be told of it: or it would imitate what it sees."""
    if config["data"]["augment"] is None:
        return None
    augment = build(config["data"]["augment"], AUGMENTATIONS, "data.augment")
    if denoiser.first_stage is not None:
        raise InputError("data.augment is of pictures, and this denoiser learns from latents: leave it out.")
    if denoiser.conditions.get("augment_labels", 0) != augment.label_dim:
        raise InputError(
            f"data.augment is for a network that is told how pictures were augmented, which this "
            f"{type(denoiser.network).__name__} is not: take an EDMUNet with augment_dim={augment.label_dim}, or leave "
            "data.augment=null."
        )
    return augment


def _preview(config: dict[str, Any], folder: Path, signals: Dataset, texts: Texts | None) -> Any:
    options, sampler = config["preview"], make_sampler(config)

    def preview(denoiser: Denoiser, step: int) -> None:
        labels = balanced_labels(denoiser, options["num"])
        chosen = np.linspace(0, len(signals) - 1, options["num"]).astype(int)
        clips, _ = signals.batch(chosen)
        x0, cond = denoiser.condition(clips.to(next(denoiser.parameters()).device))
        cond |= texts(chosen) if texts is not None else {}
        samples = sample(
            denoiser,
            (options["num"], *(denoiser.signal_shape or x0.shape[1:])),
            sampler=sampler,
            steps=options["steps"],
            labels=labels,
            guidance=options["guidance"] if labels is not None or texts is not None else None,
            generator=seeded(range(options["num"])),
            **cond,
        )
        file = folder / "samples" / f"step_{step:08d}.png"
        file.parent.mkdir(exist_ok=True)
        overview(samples.clamp(-1, 1).cpu(), denoiser.sample_rate).save(file)

    return preview
