"""From the configuration of ``mmspec calibrate`` to a correction's file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from mmspec.data import open_dataset
from mmspec.diagnosis.calibration import calibrate
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import hideable, said
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.guidance import Guided
from mmspec.errors import InputError
from mmspec.experiment.correction_file import FORMAT, CalibratedFor, CorrectionFile
from mmspec.experiment.figures.held_out import held_out, held_out_batches
from mmspec.experiment.launch import Launch
from mmspec.experiment.machine import check_seed
from mmspec.experiment.sources import open_denoiser
from mmspec.experiment.training_signals import refuse_training_signals
from mmspec.provenance import provenance

Told = list[tuple[Tensor, dict[str, Tensor]]]  # signals, and what is said of them


@dataclass(frozen=True)
class CalibrateOptions:
    """The keys of conf/calibrate.yaml, where each is described.

    Raises:
        InputError: for numbers out of range.
    """

    from_: str
    out: Path
    data: Path | None = None
    train: Path | None = None
    levels: int = 18
    num: int = 512
    guidance: float | None = None
    text_encoder: str | None = None
    seed: int = 0
    batch_size: int = 64
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if min(self.levels, self.num, self.batch_size) < 1:
            raise InputError("levels, num and batch_size must be 1 or more.")
        check_seed(self.seed)


def write_correction(options: CalibrateOptions) -> str:
    """Calibrate the denoiser that the options name, write its correction, and say what it does.

    Raises:
        InputError: if something is in the place of the file, the signals do not fit the denoiser, are too few or are
            those that it was trained on, or nothing is to be corrected.
    """
    if os.path.lexists(options.out):
        raise InputError(f"{options.out} is there already: give another out=FILE.json, or move it away.")
    denoiser, weights = open_denoiser(options.from_, str(Launch.current().device(options.device)))
    folder = options.data or held_out(Path(options.from_))
    if folder is None:
        raise InputError(f"{options.from_} has no data.test: give data=FOLDER, a packed data set of held-out signals.")
    dataset = open_dataset(folder)
    refuse_training_signals(dataset, options.from_, train=options.train)
    batches = held_out_batches(
        denoiser, dataset, options.num, options.batch_size, encoder=options.text_encoder, source=options.from_
    )
    denoise, told = _as_sampled(denoiser, list(batches), options.guidance)
    levels = denoiser.round_sigma(denoiser.process.sampling_sigmas(options.levels)).tolist()
    correction = calibrate(denoise, told, sorted(set(levels)), options.seed)
    CorrectionFile(
        FORMAT,
        CalibratedFor.of(denoiser, weights, options.guidance),
        dataset.meta.sha256,
        min(options.num, len(dataset)),
        provenance()["command"],
        correction,
    ).write(options.out)
    return f"{_summary(correction)} in {options.out}"


def _as_sampled(denoiser: Denoiser, told: Told, guidance: float | None) -> tuple[Callable[..., Tensor], Told]:
    """With guidance, which needs to know what stands for nothing, or without."""
    if guidance is None:
        return denoiser, [(x0, said(cond)) for x0, cond in told]
    if not hideable(told[0][1]):
        raise InputError(f"guidance={guidance} needs classes, texts or recordings to follow: leave it out.")
    return Guided(denoiser, guidance), told


def _summary(correction: Correction) -> str:
    gains = np.array(correction.gains)
    changed = int((gains != 1).sum())
    levels, octaves = gains.shape
    of = f"{gains.size} gains ({levels} noise levels, {octaves} octaves)"
    return f"{changed} of {of} are not 1, from {gains.min():.3f} to {gains.max():.3f}"
