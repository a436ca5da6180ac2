"""What is minimized: the objective, its regularizers, and a teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch

from mmspec.components import Component
from mmspec.diffusion import AnyObjective, Denoiser, DistillationObjective, Objective, StepDistillationObjective
from mmspec.diffusion.distillation import Example
from mmspec.diffusion.noise import NoiseDistribution
from mmspec.diffusion.processes import Process
from mmspec.errors import InputError
from mmspec.losses import Regularizer, SigmaWeight, SpectralLoss
from mmspec.typed import call


@dataclass(frozen=True)
class ProcessOptions:
    """The group ``process``: a process, and what draws training noise in its place."""

    process: Component
    noise: Component | None = None
    by_name: ClassVar[bool] = Component.by_name

    @classmethod
    def read(cls, config: object, where: str) -> "ProcessOptions":
        """From ``{type: Name, **arguments, noise: null}``."""
        process = Component.read(config, where)
        arguments = dict(process.arguments)
        noise = arguments.pop("noise", None)
        read = None if noise is None else Component.read(noise, f"{where}.noise")
        return cls(replace(process, arguments=arguments), read)

    def write(self) -> dict[str, Any]:
        """What `read` takes."""
        return {**self.process.write(), "noise": self.noise and self.noise.write()}

    def with_auto(self, sigma_data: float) -> "ProcessOptions":
        """With numbers for every ``auto``."""
        noise = self.noise and self.noise.with_auto(NoiseDistribution, "process.noise", sigma_data)
        return ProcessOptions(self.process.with_auto(Process, "process", sigma_data), noise)

    def build(self) -> Process:
        """The process."""
        return self.process.build(Process, "process")


@dataclass(frozen=True)
class RegularizerOptions:
    """A term of the group ``regularizer``."""

    loss: Component
    weight: float = 0.1
    sigma_weight: Component | None = None
    ramp_steps: int = 0
    balance: Literal["gradient"] | None = None

    def with_auto(self, where: str, sigma_data: float) -> "RegularizerOptions":
        """With numbers for every ``auto``."""
        gate = self.sigma_weight and self.sigma_weight.with_auto(SigmaWeight, f"{where}.sigma_weight", sigma_data)
        return replace(self, loss=self.loss.with_auto(SpectralLoss, f"{where}.loss", sigma_data), sigma_weight=gate)

    def build(self, where: str) -> Regularizer:
        """The term."""
        arguments = {
            "loss": self.loss.build(SpectralLoss, f"{where}.loss", reduction="none"),
            "weight": self.weight,
            "sigma_weight": self.sigma_weight and self.sigma_weight.build(SigmaWeight, f"{where}.sigma_weight"),
            "ramp_steps": self.ramp_steps,
            "balance": self.balance,
        }
        return call(Regularizer, arguments, where)


@dataclass(frozen=True)
class ObjectiveOptions:
    """The group ``objective``."""

    distance: str = "l2"
    label_dropout: float = 0.0
    weighting: Component | None = None

    def with_auto(self, sigma_data: float) -> "ObjectiveOptions":
        """With numbers for every ``auto``."""
        weighting = self.weighting and self.weighting.with_auto(SigmaWeight, "objective.weighting", sigma_data)
        return replace(self, weighting=weighting)

    def build(
        self, process: Process, noise: Component | None, regularizers: dict[str, RegularizerOptions]
    ) -> Objective:
        """The objective, regularizers included."""
        arguments = {
            "process": process,
            "distance": self.distance,
            "label_dropout": self.label_dropout,
            "regularizers": {name: term.build(f"regularizer.{name}") for name, term in regularizers.items()},
            "noise": noise and noise.build(NoiseDistribution, "process.noise"),
            "weighting": self.weighting and self.weighting.build(SigmaWeight, "objective.weighting"),
        }
        return call(Objective, arguments, "objective")


def refuse_unfit(objective: Objective, shape: Sequence[int]) -> None:
    """See that regularizers can be computed of what a network puts out, before the first step is.

    Args:
        objective: with its regularizers, by their names in the configuration.
        shape: of a signal or latent, ``(C, *spatial)``.

    Raises:
        InputError: for a regularizer that is not defined at that shape; the sentence says why.
    """
    for name, term in objective.regularizers.items():
        try:
            term.get_submodule("loss")(torch.zeros(1, *shape), torch.zeros(1, *shape))
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"regularizer.{name} does not fit signals of the shape {list(shape)} ({str(error).splitlines()[0]}): "
                "change its options, or leave it out."
            ) from error


@dataclass(frozen=True)
class DistillationOptions:
    """The group ``distillation``."""

    teacher: str | None = None
    spatial: float = 0.0
    frequency: float = 0.0
    alpha: float = -1.0
    floor: float = 0.01
    octaves: tuple[int, ...] = ()
    features: bool = True
    steps: int | None = None
    substeps: int = 2
    mixed_precision: Literal["no", "bf16"] = "no"
    compile: bool = False
    teacher_sha256: str | None = field(default=None)

    @property
    def active(self) -> bool:
        """Whether there is a teacher to learn from.

        Raises:
            InputError: if one is asked for and not given.
        """
        active = bool(self.spatial or self.frequency or self.steps is not None)
        if active and self.teacher is None:
            raise InputError("distillation.teacher must be given: the run, checkpoint or saved denoiser to learn from.")
        return active

    def wrap(self, objective: Objective, teacher: Denoiser, student: Denoiser, example: Example | None) -> AnyObjective:
        """The objective with a teacher; ``example`` as for `DistillationObjective`.

        Raises:
            InputError: for options that do not go together, or a teacher and a student that do not fit each other.
        """
        names = ["mixed_precision", "compile"]
        if self.steps is not None:
            if self.spatial or self.frequency:
                raise InputError("distillation.steps goes without spatial and frequency: distil one after the other.")
            made: Callable[..., AnyObjective] = StepDistillationObjective
            names += ["steps", "substeps"]
        else:
            made = partial(DistillationObjective, example=example)
            names += ["spatial", "frequency", "alpha", "floor", "octaves", "features"]
        options = {name: getattr(self, name) for name in names}
        wrapped: AnyObjective = call(partial(made, objective, teacher, student), options, "distillation")
        return wrapped
