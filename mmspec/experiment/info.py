"""What a network or a denoiser is made of, and what it costs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from mmspec.components import Component
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.experiment.machine import machine_facts
from mmspec.experiment.sources import open_denoiser
from mmspec.metrics.cost import count, measure
from mmspec.networks import FirstStage, Network, make_network
from mmspec.pretrained.first_stage import is_saved_first_stage


@dataclass(frozen=True)
class InfoOptions:
    """The options of ``mmspec info``: conf/info.yaml explains each.

    Raises:
        InputError: for a number out of range.
    """

    from_: str | None = None
    network: Component | None = None
    shape: list[int] | None = None
    classes: int = 0
    context_length: int = 1
    measure: bool = False
    runs: int = 30
    batch: int = 64
    format: Literal["text", "markdown", "json"] = "text"
    name: str | None = None

    def __post_init__(self) -> None:
        if self.classes < 0 or min(self.context_length, self.runs, self.batch, *(self.shape or [1])) < 1:
            raise InputError(
                "classes must be 0 or more, and context_length, runs, batch and the sizes in shape 1 or more, not "
                f"{self.classes}, {self.context_length}, {self.runs}, {self.batch} and {self.shape}."
            )


def facts(options: InfoOptions) -> dict[str, Any]:
    """What the options ask for: of a denoiser, a first stage, a network, or else of the machine."""
    if options.from_ is not None and options.network is not None:
        raise InputError(f"from={options.from_} brings its own network: leave network out, or from.")
    if options.from_ is not None:
        if is_saved_first_stage(Path(options.from_)):
            return _first_stage_facts(FirstStage.from_pretrained(options.from_))
        return _denoiser_facts(open_denoiser(options.from_)[0], options)
    if options.network is None:
        return machine_facts()
    if options.shape is None or len(options.shape) not in (2, 3):
        raise InputError(f"shape takes [C, T] or [C, H, W], not {options.shape}.")
    with torch.device("cpu" if options.measure else "meta"):
        network = make_network(options.network, options.shape, options.classes)
    return _network_facts(network, options.shape, options)


def _network_facts(network: Network, shape: Sequence[int] | None, options: InfoOptions) -> dict[str, Any]:
    facts = {"network": type(network).__name__, "config": network.config}
    if shape is None:
        return {**facts, "parameters": sum(parameter.numel() for parameter in network.parameters())}
    try:
        cost = asdict(count(network, shape, options.context_length))
    except ValueError as error:
        raise InputError(f"shape={list(shape)}: {error}") from None
    return {**facts, "shape": list(shape), **cost, **(_times(network, shape, options) if options.measure else {})}


def _times(network: Network, shape: Sequence[int], options: InfoOptions) -> dict[str, Any]:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return {
        device: measure(network, shape, device, options.runs, options.batch, options.context_length)
        for device in devices
    }


def _denoiser_facts(denoiser: Denoiser, options: InfoOptions) -> dict[str, Any]:
    parts = {"process": denoiser.process, "conditioner": denoiser.conditioner, "first_stage": denoiser.first_stage}
    return {
        **_network_facts(denoiser.network, denoiser.latent_shape, options),
        **{name: part and Component.of(part).write() for name, part in parts.items()},
        "signal_shape": denoiser.signal_shape,
        "sample_rate": denoiser.sample_rate,
        "classes": denoiser.classes,
    }


def _first_stage_facts(stage: FirstStage) -> dict[str, Any]:
    return {
        "first_stage": type(stage).__name__,
        "config": stage.config,
        "parameters": sum(parameter.numel() for parameter in stage.parameters()),
        "factor": stage.factor,
        "sha256": stage.sha256(),
    }
