"""The trainer and what a run leaves on disk."""

from .trainer import Trainer, TrainerOptions

__all__ = ["Trainer", "TrainerOptions"]
