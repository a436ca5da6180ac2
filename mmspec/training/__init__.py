"""The trainer and what a run leaves on disk."""

from mmspec.training.trainer import Trainer, TrainerOptions

__all__ = ["Trainer", "TrainerOptions"]
