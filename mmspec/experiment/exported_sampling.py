"""Samples of an exported denoiser as a packed data set, drawn without torch."""

import time
from pathlib import Path

import numpy as np

from mmspec.data import DatasetMeta
from mmspec.data.media import write_samples
from mmspec.data.packed import DataFile, complete
from mmspec.data.values import encode
from mmspec.errors import InputError
from mmspec.experiment.classes import numbers_of
from mmspec.experiment.sample_folder import SHOWN, SampleOptions, refuse_foreign, write_record
from mmspec.experiment.sampling_progress import sampling_progress
from mmspec.exported.model import ExportedDenoiser, ExportedFacts
from mmspec.files import staged
from mmspec.typed import write

LABELS, ZERO = "labels", ("labels", "augment_labels")  # conditions, and those of which zeros say nothing
FIXED = ("sampler", "steps", "guidance")  # at export
NEEDS_TORCH = ("correction", "text", "captions", "text_encoder", "recordings", "walk")


def write_exported_draws(options: SampleOptions, defaults: SampleOptions) -> str:
    """Draw samples into a packed set; sample i depends on ``seed + i`` alone, as torch's does.

    Args:
        options: of the command.
        defaults: what they are where nobody says otherwise.

    Returns:
        A sentence that says what there is and where.

    Raises:
        InputError: if the options are not of what was exported, or the folders hold something else.
    """
    started, out = time.perf_counter(), options.folder
    refuse_foreign(out)
    denoiser = ExportedDenoiser(options.from_, options.device)
    facts = denoiser.facts
    _refuse_others(options, defaults, facts)
    num = int(options.num)
    classes = numbers_of(facts.signal.classes, options.labels, num)
    meta = DatasetMeta(
        modality="audio" if facts.signal.sample_rate else "image",
        source=options.from_,
        sample_rate=facts.signal.sample_rate,
        classes=None if classes is None else tuple(facts.signal.classes or ()),
        count=num,
        shape=facts.signal.shape,
    )
    with staged(out) as folder:
        shown = _draw(denoiser, options, classes, meta, folder)
        complete(folder, classes, meta=meta)
        write_samples(shown, folder, meta.sample_rate)
        seconds = time.perf_counter() - started
        fixed = {name: write(getattr(facts, name)) for name in FIXED}
        said = {"num": num, "labels": options.labels, "seed": options.seed, "recordings": None}
        write_record(folder, {**fixed, **said, "from": options.from_, "denoiser": options.from_, "seconds": seconds})
    sampler = facts.sampler.name.lower()
    return f"{num} samples in {out} ({seconds:.1f} s by ONNX Runtime, {sampler} in {facts.steps} steps as exported)"


def _draw(
    denoiser: ExportedDenoiser, options: SampleOptions, classes: np.ndarray | None, meta: DatasetMeta, folder: Path
) -> np.ndarray:
    """Write all samples, a batch at a time; returns the first as they are shown, ``[<= SHOWN, C, *spatial]``."""
    shown: list[np.ndarray] = []
    with DataFile(folder, meta, new=True) as file, sampling_progress(meta.count, "samples") as done:
        for start in range(0, meta.count, options.batch_size):
            rows = np.arange(start, min(start + options.batch_size, meta.count))
            seeds = [options.seed + row for row in rows.tolist()]
            samples = denoiser.sample(seeds, _told(denoiser.facts, classes, rows))
            if not np.isfinite(samples).all():
                raise InputError(f"samples from {start} on hold NaN or infinity: {options.from_} is damaged.")
            file.write(start, encode(samples))
            shown.append(samples[: max(0, SHOWN - start)])
            done(start + len(rows))
    return np.concatenate(shown)


def _told(facts: ExportedFacts, classes: np.ndarray | None, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What the denoiser is told of samples: one-hot rows of classes, and zeros of all else."""
    told = {name: np.zeros((len(rows), width), np.float32) for name, width in facts.conditions.items()}
    if classes is not None and LABELS in told:
        told[LABELS][np.arange(len(rows)), classes[rows]] = 1
    return told


def _refuse_others(options: SampleOptions, defaults: SampleOptions, facts: ExportedFacts) -> None:
    if needed := [name for name in facts.conditions if name not in ZERO]:
        raise InputError(f"{options.from_} is told a {needed[0]}, which needs torch to be made: sample from its run.")
    for name in FIXED:
        given, fixed = getattr(options, name), getattr(facts, name)
        if given not in (fixed, getattr(defaults, name)):
            raise InputError(
                f"{name}={write(given)} is not what {options.from_} was exported with, {write(fixed)}: leave it out, "
                "or export again."
            )
    for name in (*NEEDS_TORCH, "mixed_precision", "channels_last"):
        if getattr(options, name) != getattr(defaults, name):
            raise InputError(f"{name} is not of an exported denoiser: leave it out, or sample from its run.")
    if options.num == "all":
        raise InputError("num=all is of a vocoder's recordings: give a number.")
    if facts.guidance is not None and options.labels == "none":
        raise InputError(
            f"{options.from_} was exported with guidance={facts.guidance}, which needs classes: give labels."
        )
