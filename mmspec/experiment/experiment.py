"""The configuration of ``mmspec train``, typed and frozen: conf/train.yaml explains each key."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from mmspec.components import Component
from mmspec.errors import InputError
from mmspec.experiment.machine import check_seed
from mmspec.experiment.objective import DistillationOptions, ObjectiveOptions, ProcessOptions, RegularizerOptions
from mmspec.training.options import TrainerOptions
from mmspec.training.run import FREE


@dataclass(frozen=True)
class DataOptions:
    """The group ``data``; what is free has its checksum kept, or decides nothing that is learnt."""

    train: str = field(metadata=FREE)
    shards: str | None = field(default=None, metadata=FREE)
    test: str | None = field(default=None, metadata=FREE)
    labels: bool = True
    augment: Component | None = None
    latents: str | None = field(default=None, metadata=FREE)
    crop: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class FirstStageOptions:
    """The group ``first_stage``."""

    from_: str | None = field(default=None, metadata=FREE)
    scale_factor: float | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class PreviewOptions:
    """The group ``preview``."""

    num: int = 16
    steps: int = 18
    guidance: float | None = None


@dataclass(frozen=True)
class Experiment:
    """A training: what is learnt, of what, and how.

    Raises:
        InputError: for a seed or a length out of range.
    """

    run_dir: Path = field(metadata=FREE)
    data: DataOptions
    network: Component | None
    process: ProcessOptions
    conditioner: Component | None
    regularizer: dict[str, RegularizerOptions]
    distillation: DistillationOptions
    sampler: Component
    trainer: TrainerOptions
    first_stage: FirstStageOptions
    objective: ObjectiveOptions
    preview: PreviewOptions = field(metadata=FREE)
    text_encoder: str | None = None
    text_encoder_sha256: str | None = None
    init_from: str | None = None
    seed: int = 0
    resume: str = field(default="auto", metadata=FREE)
    init_from_sha256: str | None = None
    plugins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        least = {"data.crop": self.data.crop, "preview.num": self.preview.num, "preview.steps": self.preview.steps}
        for key, value in least.items():
            if value is not None and value < 1:
                raise InputError(f"{key} must be 1 or more, not {value}.")

    def with_auto(self, sigma_data: float) -> "Experiment":
        """With numbers for every ``auto`` that follows from sigma_data, the deviation of the clean signal."""
        return replace(
            self,
            process=self.process.with_auto(sigma_data),
            regularizer={
                name: term.with_auto(f"regularizer.{name}", sigma_data) for name, term in self.regularizer.items()
            },
            objective=self.objective.with_auto(sigma_data),
        )
