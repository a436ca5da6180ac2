"""The denoising error on held-out signals, by the noise and the weights that a run was trained with."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mmspec.data import open_dataset
from mmspec.devices import find_device
from mmspec.diffusion.conditions import Batch, tell
from mmspec.diffusion.objective import Draw
from mmspec.errors import InputError
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.sources import open_denoiser
from mmspec.experiment.training import told_signals

MOST = 256  # signals, evenly spread
BATCH = 64


@torch.no_grad()
def held_out_errors(experiment: Experiment, source: str) -> Tensor:
    """The training loss without terms, of averaged weights, on signals of ``data.test``.

    The same signals get the same noise in every run, so that errors of two runs pair.

    Args:
        experiment: of the run, with numbers for every ``auto``.
        source: the run, whose newest weights count, or a checkpoint of it.

    Returns:
        ``[N]`` float64, of at most 256 signals.

    Raises:
        InputError: if the run has no ``data.test`` or no weights, or they do not fit each other.
    """
    if experiment.data.test is None:
        raise InputError(f"{experiment.run_dir} has no data.test: give data.test=FOLDER, packed held-out signals.")
    device = find_device(experiment.trainer.device)
    denoiser, _ = open_denoiser(source, device)
    denoiser.eval()
    untouched = replace(experiment, data=replace(experiment.data, augment=None, latents=None))
    signals, conditions = told_signals(untouched, denoiser, open_dataset(experiment.data.test))
    conditions = [condition.to(device) for condition in conditions]
    told = replace(experiment.objective, label_dropout=0.0)
    objective = told.build(denoiser.process, experiment.process.noise, {}).to(device)
    generator = torch.Generator().manual_seed(0)
    rows = np.unique(np.linspace(0, len(signals) - 1, min(MOST, len(signals))).astype(int))
    errors = []
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        batch = Batch(*signals.batch(chosen), chosen).to(device)
        x0 = denoiser.clean(batch.signals)
        draw = Draw(*(part.to(device) for part in objective.draw(x0.shape, generator)))
        errors.append(objective(denoiser, x0, draw=draw, **tell(conditions, batch)).total.cpu().double())
    return torch.cat(errors)
