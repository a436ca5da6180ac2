"""From an experiment to a trainer at work."""

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmspec import plugins
from mmspec.components import Component, choices
from mmspec.data import DatasetMeta, StoredDataset, open_dataset
from mmspec.data.augment import EDMAugment
from mmspec.data.media import overview
from mmspec.data.mel import LogMel
from mmspec.diffusion import AnyObjective, Denoiser, sample, seeded
from mmspec.diffusion.conditions import AugmentLabels, Batch, Condition, Labels, hideable, said, tell
from mmspec.diffusion.samplers import Sampler
from mmspec.errors import InputError
from mmspec.experiment import few_steps
from mmspec.experiment.classes import listed
from mmspec.experiment.conditions import KnownClasses, choose_classes, class_numbers, dataset_context
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.launch import Launch
from mmspec.experiment.objective import refuse_unfit
from mmspec.experiment.signals import deviation, latent_deviation, training_signals
from mmspec.experiment.sources import open_denoiser
from mmspec.files import content_sha256, replacing
from mmspec.networks import FirstStage, Network, make_network
from mmspec.pretrained import load_first_stage
from mmspec.training.batches import Dataset, step_seed
from mmspec.training.complete import complete_checkpoints
from mmspec.training.run import Run, find_denoiser, refuse_missing_plugins
from mmspec.training.trainer import Trainer
from mmspec.typed import keys_with, write


def train(experiment: Experiment) -> str | None:
    """Train, or go on with, the run of an experiment.

    Returns:
        In the first process, what to type next.

    Raises:
        InputError: for data, options or weights that do not go together, or a folder that holds another run.
        Interrupted: after a signal to stop, once a checkpoint is written.
    """
    with Launch.current().together():
        return _train(experiment)


def _train(experiment: Experiment) -> str | None:
    if experiment.resume != "none":
        refuse_missing_plugins(experiment.run_dir)
    dataset = open_dataset(experiment.data.train, experiment.data.shards)
    torch.manual_seed(step_seed(experiment.seed))
    experiment, denoiser = make_denoiser(experiment, dataset)
    augment = make_augmentation(experiment.data.augment, denoiser)
    signals, conditions = told_signals(experiment, denoiser, dataset, augment)
    experiment, objective = _objective(experiment, denoiser, signals, conditions)
    trainer = Trainer(
        denoiser,
        objective,
        signals,
        experiment.trainer,
        experiment.run_dir,
        seed=experiment.seed,
        conditions=conditions,
        augment=augment,
        preview=_preview(experiment, signals, conditions),
    )
    experiment = replace(
        experiment,
        data=replace(experiment.data, sha256=dataset.meta.sha256),
        text_encoder_sha256=content_sha256(Path(experiment.text_encoder)) if experiment.text_encoder else None,
        plugins=plugins.loaded(),
    )
    run, main = Run(experiment.run_dir), trainer.accelerator.is_main_process
    with ExitStack() as stack:
        with trainer.accelerator.main_process_first():
            if main and not complete_checkpoints(run.checkpoints):  # once a run, as it reads all of them
                for data in (dataset, *map(open_dataset, filter(None, [experiment.data.latents]))):
                    data.verify()
            if main:
                stack.enter_context(run.held())
            resume = experiment.resume if main or experiment.resume != "none" else "auto"  # moved aside but once
            checkpoint = run.open(write(experiment), keys_with(Experiment, "free"), resume)
        try:
            trainer.train(checkpoint)
        finally:
            for remark in dataset.remarks:
                sys.stderr.write(f"{remark}\n")
    return _next_commands(experiment) if main else None


def _next_commands(experiment: Experiment) -> str:
    given, folder = experiment.data.test is not None, experiment.run_dir
    commands = [
        ["sample", f"from={folder}", *few_steps.words(experiment.distillation.steps)],
        ["evaluate", f"samples={folder}", *([] if given else ["reference=FOLDER"])],
        ["report", f"runs={folder}", "out=report.html"],
        ["diagnose", f"from={folder}", *([] if given else ["data=FOLDER"])],
    ]
    return "\n".join(["next:", *(f"  mmspec {shlex.join(words)}" for words in commands)])


def told_signals(
    experiment: Experiment, denoiser: Denoiser, dataset: StoredDataset, augment: EDMAugment | None = None
) -> tuple[Dataset, list[Condition]]:
    """Signals of a data set as an experiment's denoiser takes them, and what it is told of each.

    Raises:
        InputError: for data or options that do not fit the denoiser.
    """
    latents = open_dataset(experiment.data.latents) if experiment.data.latents else None
    numbers = class_numbers(denoiser.classes or (), dataset.meta.classes or ())
    signals: Dataset = training_signals(dataset, denoiser, experiment.data.crop, latents)
    signals = signals if numbers is None else KnownClasses(signals, numbers)
    return signals, _conditions(experiment, denoiser, dataset, augment)


def make_denoiser(experiment: Experiment, dataset: StoredDataset) -> tuple[Experiment, Denoiser]:
    """The denoiser to train, and the experiment that says what it is made of, with a number for every ``auto``.

    Raises:
        InputError: for options that a part does not take, or parts that do not go together.
    """
    if experiment.init_from is not None:
        return _base_denoiser(experiment, dataset)
    options = experiment.first_stage
    first_stage = None
    if options.from_ is not None:
        first_stage = load_first_stage(find_denoiser(options.from_), options.scale_factor)
    experiment = _recorded(experiment, first_stage).with_auto(_deviation(experiment, dataset, first_stage))
    denoiser = _new_denoiser(experiment, dataset.meta, first_stage)
    # What the data decide is no option, whether a preset states it or not.
    network = experiment.network and experiment.network.without("dims")
    return replace(experiment, network=network), denoiser


def signal_shape(meta: DatasetMeta, crop: int | None) -> tuple[int, ...]:
    """Shape ``(C, *spatial)`` of what a denoiser trains on: the samples of a data set, or stretches of its clips."""
    return meta.shape if crop is None else (meta.shape[0], crop)


def _new_denoiser(experiment: Experiment, meta: DatasetMeta, first_stage: FirstStage | None) -> Denoiser:
    shape = signal_shape(meta, experiment.data.crop)
    classes = meta.classes if experiment.data.labels else None
    if experiment.network is None:
        raise InputError("network must be given: choose one, such as network=unet.")
    latent_shape = shape if first_stage is None else first_stage.latent_shape(shape)
    network = make_network(experiment.network, latent_shape, len(classes or ()))
    if next(network.parameters(), None) is None:
        raise InputError(f"network={type(network).__name__} has no parameters, so that nothing can be trained.")
    if unknown := network.conditions.keys() - (known := [each.name for each in choices(Condition).values()]):
        raise InputError(
            f"{type(network).__name__} takes {', '.join(sorted(unknown))}, which nothing tells it: its conditions may "
            f"be {', '.join(known)}."
        )
    process = experiment.process.build()
    conditioner = _conditioner(experiment.conditioner, network, meta.sample_rate)
    return Denoiser(network, process, shape, meta.sample_rate, classes, conditioner, first_stage)


def _conditioner(options: Component | None, network: Network, sample_rate: int | None) -> LogMel | None:
    """The spectrogram that a network is told, of as many bands as it takes where ``n_mels`` is null."""
    bands = network.conditions.get("spectrogram")
    if (bands is not None) != (options is not None):
        wanted = "takes no conditioner: leave it out" if options else "needs one: set conditioner=log_mel"
        raise InputError(f"network={type(network).__name__} with these options {wanted}.")
    if options is None:
        return None
    if options.arguments.get("n_mels") is None:
        return options.without("n_mels").build(LogMel, "conditioner", sample_rate=sample_rate, n_mels=bands)
    return options.build(LogMel, "conditioner", sample_rate=sample_rate)


def _base_denoiser(experiment: Experiment, dataset: StoredDataset) -> tuple[Experiment, Denoiser]:
    """The denoiser that ``init_from`` names; the experiment then says what that one is made of."""
    denoiser, fingerprint = open_denoiser(str(experiment.init_from))
    _require_fit(experiment, denoiser, dataset)
    measured = _deviation(experiment, dataset, denoiser.first_stage)
    network, process = Component.of(denoiser.network), Component.of(denoiser.process)
    conditioner = Component.of(denoiser.conditioner) if denoiser.conditioner else None
    for group, wanted, found in (
        ("network", experiment.network, network),
        ("process", experiment.process.process, process),
        ("conditioner", experiment.conditioner, conditioner),
    ):
        _refuse_other(str(experiment.init_from), group, wanted, found)
    experiment = replace(
        _recorded(experiment, denoiser.first_stage),
        network=network,
        process=replace(experiment.process, process=process),
        conditioner=conditioner,
        init_from_sha256=fingerprint,
    )
    return experiment.with_auto(process.arguments.get("sigma_data", measured)), denoiser


def _refuse_other(source: str, group: str, wanted: Component | None, found: Component | None) -> None:
    """See that a part that weights bring is what was asked for, as far as anything was."""
    asked = {} if wanted is None else {"type": wanted.name, **write(wanted.arguments)}
    own = {} if found is None else {"type": found.name, **write(found.arguments)}
    for key, value in asked.items():
        if value not in (None, "auto") and own.get(key) != value:
            brought = f"{group}.{key}={own[key]}" if key in own else f"no {group}.{key}"
            raise InputError(
                f"init_from={source} brings its {group}, with {brought}, not {value}: leave that out, or train without "
                "init_from."
            )


def _deviation(experiment: Experiment, dataset: StoredDataset, first_stage: FirstStage | None) -> float:
    """Standard deviation of what the network will see, without noise."""
    if first_stage is None:
        return deviation(dataset, experiment.data.crop)
    latents = open_dataset(experiment.data.latents) if experiment.data.latents else None
    return latent_deviation(dataset, first_stage, latents)


def _recorded(experiment: Experiment, first_stage: FirstStage | None) -> Experiment:
    """The experiment that says which first stage it is: one with another is another experiment."""
    sha256 = first_stage.sha256() if first_stage is not None else None
    return replace(experiment, first_stage=replace(experiment.first_stage, sha256=sha256))


def _require_fit(experiment: Experiment, denoiser: Denoiser, dataset: StoredDataset) -> None:
    if experiment.first_stage.from_ is not None:
        raise InputError("first_stage.from and init_from exclude each other: init_from brings its own first stage.")
    shape, data = signal_shape(dataset.meta, experiment.data.crop), experiment.data
    if denoiser.signal_shape != shape:
        raise InputError(
            f"init_from={experiment.init_from} was trained on signals of shape {denoiser.signal_shape}, "
            f"{data.train} gives {shape}: prepare the data at that shape, or set data.crop for sound."
        )
    known, found = denoiser.classes or [], dataset.meta.classes or ()
    if data.labels and known and found and class_numbers(known, found) is None:
        raise InputError(
            f"init_from={experiment.init_from} knows {len(known)} classes ({listed(known)}), {data.train} has "
            f"{len(found)} ({listed(found)}), some by other names: prepare the data with the names of these classes, "
            "or set data.labels=false."
        )


def _conditions(
    experiment: Experiment, denoiser: Denoiser, dataset: StoredDataset, augment: EDMAugment | None
) -> list[Condition]:
    """What the network is told of each sample."""
    own = [each for each in denoiser.conditions if experiment.data.labels or not isinstance(each, Labels)]
    context = dataset_context(denoiser, dataset, experiment.text_encoder, experiment.init_from)
    if not context and experiment.text_encoder is not None:
        raise InputError(f"text_encoder={experiment.text_encoder}: this network does not look at texts; leave it out.")
    if context and experiment.data.crop is not None:
        raise InputError("data.crop takes parts of recordings, captions are of whole ones: leave data.crop out.")
    return [*own, *context, *([AugmentLabels(augment)] if augment is not None else [])]


def make_augmentation(options: Component | None, denoiser: Denoiser) -> EDMAugment | None:
    """What ``data.augment`` describes, if the network can be told of it: or it would imitate what it sees.

    Raises:
        InputError: for an unknown augmentation or option, or a network that is not told.
    """
    if options is None:
        return None
    augment = options.build(EDMAugment, "data.augment")
    if denoiser.first_stage is not None:
        raise InputError("data.augment is of pictures, and this denoiser learns from latents: leave it out.")
    if denoiser.told.get("augment_labels") != augment.label_dim:
        raise InputError(
            f"data.augment is for a network that is told how pictures were augmented, which this "
            f"{type(denoiser.network).__name__} is not: take an EDMUNet with augment_dim={augment.label_dim}, or give "
            "data.augment=null."
        )
    return augment


def _objective(
    experiment: Experiment, denoiser: Denoiser, signals: Dataset, conditions: Sequence[Condition]
) -> tuple[Experiment, AnyObjective]:
    """What is minimized, with a teacher where ``distillation`` asks for one; the experiment then says which it is."""
    process = experiment.process
    objective = experiment.objective.build(denoiser.process, process.noise, experiment.regularizer)
    refuse_unfit(objective, denoiser.latent_shape or ())
    if not experiment.distillation.active:
        if experiment.distillation.teacher is not None:
            unused = (
                f"distillation.teacher={experiment.distillation.teacher} is not used: nothing is to be learnt of it"
            )
            sys.stderr.write(f"{unused}; say what by distillation=both, spatial, frequency or steps\n")
        return experiment, objective
    teacher, fingerprint = open_denoiser(str(experiment.distillation.teacher))
    if experiment.data.augment is not None and "augment_labels" not in teacher.told:
        raise InputError(
            "data.augment is for networks that are told how pictures were augmented, which the teacher is not: give "
            "data.augment=null."
        )
    distillation = replace(experiment.distillation, teacher_sha256=fingerprint)
    first = Batch(*signals.batch(np.zeros(1, int)), [0])
    example = (denoiser.clean(first.signals), said(tell(conditions, first)))
    return replace(experiment, distillation=distillation), distillation.wrap(objective, teacher, denoiser, example)


def _preview(
    experiment: Experiment, signals: Dataset, conditions: Sequence[Condition]
) -> Callable[[Denoiser, Path], Tensor]:
    options, sampler = experiment.preview, experiment.sampler.build(Sampler, "sampler")
    chosen = np.linspace(0, len(signals) - 1, options.num).astype(int)
    shown = cache(lambda: signals.batch(chosen)[0])

    def preview(denoiser: Denoiser, file: Path) -> Tensor:
        classes = choose_classes(denoiser, "balanced", options.num)
        device = next(denoiser.parameters()).device
        batch = Batch(shown(), classes, chosen).to(device)
        told: dict[str, Any] = {**tell(conditions, batch)}
        samples = sample(
            denoiser,
            (options.num, *(denoiser.signal_shape or denoiser.clean(batch.signals).shape[1:])),
            sampler=sampler,
            steps=options.steps,
            guidance=options.guidance if hideable(told) else None,
            generator=seeded(range(options.num)),
            **told,
        )
        drawn = samples.float().clamp(-1, 1).cpu()
        with replacing(file) as beside:
            overview(drawn, denoiser.sample_rate).save(beside, format="PNG")
        return drawn

    return preview
