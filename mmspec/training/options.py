"""How to train: what `mmspec.training.trainer` is told."""

from dataclasses import dataclass, field
from typing import Literal

from mmspec.training.ema import ema_decay
from mmspec.training.run import FREE
from mmspec.training.trackers import TrackerName

NOT_NEGATIVE = ("learning_rate", "learning_rate_end", "warmup_steps", "weight_decay", "grad_clip", "ema_halflife_nimg")


@dataclass(frozen=True)
class TrainerOptions:
    """How to train; conf/trainer/default.yaml explains each and holds the defaults of the commands."""

    max_steps: int = field(metadata=FREE)
    batch_size: int = 64
    accumulation: int = 1
    learning_rate: float = 2e-4
    warmup_steps: int = 0
    learning_rate_end: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    grad_clip: float | None = 1.0
    ema_halflife_nimg: float = 500_000
    ema_rampup: float = 0.05
    mixed_precision: Literal["no", "bf16"] = "no"
    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = field(default=False, metadata=FREE)
    fsdp: bool = field(default=False, metadata=FREE)
    device: Literal["auto", "cpu", "cuda", "mps"] = field(default="auto", metadata=FREE)
    log_every: int = field(default=50, metadata=FREE)
    sample_every: int | None = field(default=None, metadata=FREE)
    checkpoint_every: int = field(default=1000, metadata=FREE)
    keep_last: int = field(default=2, metadata=FREE)
    keep_every: int | None = field(default=None, metadata=FREE)
    max_nonfinite: int = 10
    tensorboard: bool | Literal["auto"] = field(default=False, metadata=FREE)
    trackers: tuple[TrackerName, ...] = field(default=(), metadata=FREE)

    def __post_init__(self) -> None:
        for name in (
            "max_steps",
            "batch_size",
            "accumulation",
            "log_every",
            "checkpoint_every",
            "keep_last",
            "max_nonfinite",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}.")
        for name in (*NOT_NEGATIVE, "ema_rampup", "sample_every", "keep_every"):
            if not (getattr(self, name) or 0) >= 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be from 0 to below 1, not {list(self.betas)}.")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        rate = self.learning_rate
        if self.learning_rate_end is not None:
            rate += (self.learning_rate_end - rate) * step / self.max_steps
        return rate * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else rate

    def decay(self, step: int) -> float:
        """Of the averaged weights, at a step."""
        return ema_decay((step + 1) * self.batch_size, self.batch_size, self.ema_halflife_nimg, self.ema_rampup)
