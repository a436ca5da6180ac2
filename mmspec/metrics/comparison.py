"""All metrics of one data set against another."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mmspec.components import plugin_of
from mmspec.data import StoredDataset
from mmspec.data.crops import side_by_side
from mmspec.data.recordings import Recordings
from mmspec.errors import TRACEBACK, InputError, name_of, sentence
from mmspec.metrics.measure import Measure, Takes, Verdict
from mmspec.metrics.signals import SignalSet

Sets = Mapping[Takes, SignalSet]


def sets_of(
    dataset: StoredDataset,
    indices: Tensor,
    *,
    crop: int | None,
    cut: bool,
    batch_size: int,
    device: torch.device,
    cache: Path | None = None,
    begun: Path | None = None,
) -> dict[Takes, SignalSet]:
    """A data set as measures take it, but for pairs.

    Args:
        dataset: of which signals are compared.
        indices: ``[N]``, which.
        crop: samples of a stretch; None for signals as they are.
        cut: recordings end where their sound does, not where their padding does.
        batch_size: signals at a time.
        device: where networks run.
        cache: folder that keeps features of the whole set; None keeps none.
        begun: folder that keeps them as they are found; None keeps none.

    Raises:
        InputError: if pictures are to be cropped.
    """
    stretches, rows = side_by_side(dataset, indices, crop)
    made = partial(SignalSet, batch_size=batch_size, device=device, cache=cache, begun=begun)
    whole = made(Recordings(dataset) if cut else dataset, indices)
    same = crop is None and not cut
    alike = whole if same else made(stretches, rows)
    return {"stretches": alike, "recordings": whole}


def compare(measures: Sequence[Measure], real: Sets, generated: Sets) -> Verdict:
    """What all measures say, but those that take a kind of set that one side has not.

    A measure of a plug-in that fails is among the verdict's failures, and costs no other measure its metrics.

    Raises:
        InputError: if two measures give metrics of one name.
    """
    ready = [measure for measure in measures if measure.takes in real and measure.takes in generated]
    for side in (real, generated):
        for takes, signals in side.items():
            own = [measure for measure in ready if measure.takes == takes and plugin_of(measure) is None]
            signals.gather([one for measure in own for one in measure.statistics])
    verdict, givers = Verdict(), dict[str, str]()
    for measure in ready:
        found = _found(measure, real[measure.takes], generated[measure.takes])
        for metric in found.metrics:
            name = type(measure).__name__
            if metric.name in givers:
                giver = givers[metric.name]
                raise InputError(f"{name} gives a metric {metric.name}, as {giver} does: give it another name.")
            givers[metric.name] = name
        verdict += found
    return verdict


def _found(measure: Measure, real: SignalSet, generated: SignalSet) -> Verdict:
    if plugin_of(measure) is None:
        return measure.verdict(real, generated)
    try:
        return measure.verdict(real, generated)
    except (Exception, SystemExit) as error:  # whatever somebody's code raises
        if os.environ.get(TRACEBACK):
            raise
        return Verdict(failures=[sentence(error) or f"{type(measure).__name__} failed ({name_of(error)})."])
