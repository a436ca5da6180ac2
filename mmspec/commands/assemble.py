"""From a configuration to the objects that it names."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmspec import losses, networks
from mmspec.components import Component, build, construct
from mmspec.data import DatasetMeta
from mmspec.data.mel import CONDITIONERS
from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.distillation import DistillationObjective
from mmspec.diffusion.noise import FlowUniform, IDDPMUniform, LogNormal, LogUniform, TableUniform, VPUniform
from mmspec.diffusion.preconditioning import PRECONDITIONINGS
from mmspec.diffusion.samplers import SAMPLERS
from mmspec.diffusion.step_distillation import StepDistillationObjective
from mmspec.errors import InputError
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.weighting import (
    EDMWeight,
    InverseSigmaGate,
    MinSNRWeight,
    NoisePredictionWeight,
    P2Weight,
    StepGate,
    TruncatedSNRWeight,
    VelocityWeight,
)
from mmspec.networks import FirstStage, Network
from mmspec.pretrained import load_first_stage
from mmspec.training.checkpoint import find_denoiser

LOSSES = {
    "FourierAmplitudeLoss": losses.FourierAmplitudeLoss,
    "FourierAmplitudePhaseLoss": losses.FourierAmplitudePhaseLoss,
    "WaveletLoss": losses.WaveletLoss,
    "MultiResolutionSTFTLoss": losses.MultiResolutionSTFTLoss,
}
NOISES = {
    noise.__name__: noise for noise in (LogNormal, TableUniform, IDDPMUniform, VPUniform, LogUniform, FlowUniform)
}
WEIGHTS = {
    weight.__name__: weight
    for weight in (
        EDMWeight,
        NoisePredictionWeight,
        VelocityWeight,
        P2Weight,
        MinSNRWeight,
        TruncatedSNRWeight,
        InverseSigmaGate,
        StepGate,
    )
}

ON_FEATURES = ("alpha", "floor", "features")  # of distillation, but not of steps


def signal_shape(meta: DatasetMeta, crop: int | None) -> tuple[int, ...]:
    """Shape ``(C, *spatial)`` of what a denoiser trains on: the samples of a data set, or stretches of its clips."""
    return meta.shape if crop is None else (meta.shape[0], crop)


def make_network(config: Mapping[str, Any], shape: Sequence[int], num_classes: int) -> Network:
    """A new network for signals of a shape ``(C, *spatial)`` and so many classes, as `mmspec.networks.make_network`."""
    return networks.make_network(Component.read(config, "network"), shape, num_classes)


def make_first_stage(cfg: Mapping[str, Any]) -> FirstStage | None:
    """The first stage that a configuration names."""
    source, scale_factor = cfg["first_stage"]["from"], cfg["first_stage"]["scale_factor"]
    return None if source is None else load_first_stage(find_denoiser(source), scale_factor)


def make_denoiser(cfg: Mapping[str, Any], meta: DatasetMeta, first_stage: FirstStage | None = None) -> Denoiser:
    """A new denoiser for the signals of a data set, or for their latents.

    Raises:
        InputError: for options that a part does not take, or a network and a conditioner that need or refuse each
            other.
    """
    shape = signal_shape(meta, cfg["data"]["crop"])
    classes = meta.classes if cfg["data"]["labels"] else None
    latent_shape = shape if first_stage is None else first_stage.latent_shape(shape)
    network = make_network(cfg["network"], latent_shape, len(classes or ()))
    preconditioning = build(cfg["process"]["preconditioning"], PRECONDITIONINGS, "process.preconditioning")
    conditioner = None
    if cfg["conditioner"]:
        conditioner = build(cfg["conditioner"], CONDITIONERS, "conditioner", sample_rate=meta.sample_rate)
    if ("spectrogram" in network.conditions) != (conditioner is not None):
        wanted = "takes no conditioner: leave it out" if conditioner else "needs one: set conditioner=log_mel"
        raise InputError(f"network={type(network).__name__} with these options {wanted}.")
    return Denoiser(network, preconditioning, shape, meta.sample_rate, classes, conditioner, first_stage)


def make_objective(cfg: Mapping[str, Any]) -> Objective:
    """The objective of a configuration, regularizers included."""
    process = cfg["process"]
    return construct(
        Objective,
        cfg["objective"],
        "objective",
        noise=build(process["noise"], NOISES, "process.noise"),
        weighting=build(process["weighting"], WEIGHTS, "process.weighting"),
        regularizers={name: _regularizer(name, term) for name, term in cfg["regularizer"].items()},
    )


def with_teacher(
    cfg: Mapping[str, Any], objective: Objective, teacher: Denoiser, student: Denoiser, example: Any
) -> Objective:
    """The objective with the distillation of a configuration.

    Args:
        cfg: the configuration.
        objective: without distillation.
        teacher, student: what is imitated, and what learns.
        example: one signal and its conditioning, as `Denoiser.condition` returns them.

    Raises:
        InputError: for options that distillation does not take, or a teacher and a student that do not fit each other.
    """
    options = {key: value for key, value in cfg["distillation"].items() if not key.startswith("teacher")}
    if cfg["data"]["augment"] is not None and "augment_labels" not in teacher.conditions:
        raise InputError(
            "data.augment is for networks that are told how pictures were augmented, which the teacher is not: leave "
            "data.augment=null."
        )
    made: Any = DistillationObjective
    if options["steps"] is None:
        options = {key: value for key, value in options.items() if key not in ("steps", "substeps")}
    else:
        if options["spatial"] or options["frequency"]:
            raise InputError("distillation.steps goes without spatial and frequency: distil one after the other.")
        made = StepDistillationObjective
        options = {key: value for key, value in options.items() if key not in ("spatial", "frequency", *ON_FEATURES)}
    fixed = {"objective": objective, "teacher": teacher, "student": student, "example": example}
    return construct(made, options, "distillation", **fixed)


def make_sampler(cfg: Mapping[str, Any]) -> Any:
    """The sampler of a configuration."""
    return build(cfg["sampler"], SAMPLERS, "sampler")


def _regularizer(name: str, term: Mapping[str, Any]) -> Regularizer:
    where, options = f"regularizer.{name}", dict(term)
    gate = options.pop("sigma_weight", None)
    return construct(
        Regularizer,
        {key: value for key, value in options.items() if key != "loss"},
        where,
        loss=build(options.get("loss", {}), LOSSES, f"{where}.loss", reduction="none"),
        sigma_weight=build(gate, WEIGHTS, f"{where}.sigma_weight") if gate else None,
    )
