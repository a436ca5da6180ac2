"""From a configuration to the objects that it names."""

from collections.abc import Mapping
from typing import Any

from mmspec import losses
from mmspec.components import build, construct
from mmspec.data import DatasetMeta
from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.noise import LogNormal, TableUniform
from mmspec.diffusion.preconditioning import PRECONDITIONINGS
from mmspec.diffusion.samplers import SAMPLERS
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.weighting import EDMWeight, InverseSigmaGate, NoisePredictionWeight, StepGate
from mmspec.networks import NETWORKS

LOSSES = {
    "FourierAmplitudeLoss": losses.FourierAmplitudeLoss,
    "FourierAmplitudePhaseLoss": losses.FourierAmplitudePhaseLoss,
    "WaveletLoss": losses.WaveletLoss,
    "MultiResolutionSTFTLoss": losses.MultiResolutionSTFTLoss,
}
NOISES = {"LogNormal": LogNormal, "TableUniform": TableUniform}
WEIGHTS = {weight.__name__: weight for weight in (EDMWeight, NoisePredictionWeight, InverseSigmaGate, StepGate)}


def make_denoiser(cfg: Mapping[str, Any], meta: DatasetMeta, labels: bool) -> Denoiser:
    """A new denoiser for signals like those of a data set."""
    channels, *spatial = meta.shape
    classes = meta.classes if labels else None
    network = build(
        cfg["network"], NETWORKS, "network", dims=len(spatial), in_channels=channels, num_classes=len(classes or ())
    )
    preconditioning = build(cfg["process"]["preconditioning"], PRECONDITIONINGS, "process.preconditioning")
    return Denoiser(network, preconditioning, meta.shape, meta.sample_rate, classes)


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
