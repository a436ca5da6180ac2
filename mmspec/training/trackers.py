"""Trackers besides TensorBoard, and what all of them are shown: pictures and sound."""

import hashlib
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from accelerate.tracking import GeneralTracker, MLflowTracker, WandBTracker
from PIL import Image
from torch import Tensor

from mmspec.data.media import write_wav
from mmspec.errors import InputError

TrackerName: TypeAlias = Literal["wandb", "mlflow"]
PROJECT = "mmspec"  # of W&B; the experiment of MLflow
CLIPS = 4  # recordings that are shown


def make_trackers(names: Sequence[TrackerName], folder: Path) -> list[GeneralTracker]:
    """Weights & Biases and MLflow, which begin with training; where they write is theirs to know.

    W&B goes on with the run of an earlier start. Their own environment variables hold: ``WANDB_MODE=offline``,
    ``WANDB_PROJECT``, ``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``, ``MLFLOW_RUN_ID``.

    Raises:
        InputError: if a package is not installed.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"trainer.trackers=[{name}] needs a package that is not installed: pip install 'mmspec[{name}]', or "
                "leave it out."
            )
    return [_WandB(folder) if name == "wandb" else MLflowTracker(PROJECT, run_name=folder.name) for name in names]


class _WandB(WandBTracker):  # type: ignore[misc]
    """Begins late, as only then it is known which run the folder holds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PROJECT, dir=str(folder), name=folder.name, resume="allow")
        self.config_file = folder / "config.yaml"

    def start(self) -> None:
        if self.config_file.is_file():  # written once a run
            written = f"{self.config_file.resolve()} {self.config_file.stat().st_mtime_ns}"
            self.init_kwargs["id"] = hashlib.sha256(written.encode()).hexdigest()[:16]
        super().start()


def show(tracker: Any, step: int, picture: Path, samples: Tensor, sample_rate: int | None) -> None:
    """Show a tracker of accelerate's samples of a step.

    Args:
        tracker: TensorBoard's, W&B's or MLflow's.
        step: of training.
        picture: file of all samples, of sound their spectrograms.
        samples: ``[N, C, *spatial]`` in [-1, 1].
        sample_rate: of sound, in Hz, whose first clips are shown; None for pictures.
    """
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    clips = {} if sample_rate is None else {f"samples/{i}": clip for i, clip in enumerate(samples[:CLIPS])}
    if tracker.name == "tensorboard":
        tracker.writer.add_image("samples", pixels, step, dataformats="HWC")
        for name, clip in clips.items():
            tracker.writer.add_audio(name, clip.mean(0), step, sample_rate)  # which takes one channel
    elif tracker.name == "wandb":
        import wandb

        sounds = {name: wandb.Audio(clip.numpy().T, sample_rate=sample_rate) for name, clip in clips.items()}
        tracker.run.log({"samples": wandb.Image(pixels), **sounds}, step=step)
    else:
        _show_mlflow(step, pixels, clips, sample_rate)


def _show_mlflow(step: int, pixels: np.ndarray, clips: dict[str, Tensor], sample_rate: int | None) -> None:
    import mlflow

    mlflow.log_image(pixels, key="samples", step=step)
    with tempfile.TemporaryDirectory() as folder:
        for name, clip in clips.items():
            file = Path(folder) / f"{Path(name).name}_step_{step:08d}.wav"
            write_wav(file, clip, sample_rate or 0)
            mlflow.log_artifact(str(file), "samples")
