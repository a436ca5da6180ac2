"""Samples of an exported denoiser as a packed data set, drawn without torch."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmspec.components import Component
from mmspec.data import DatasetMeta
from mmspec.data.media import write_samples
from mmspec.data.packed import DataFile, complete
from mmspec.data.recordings import Recordings
from mmspec.data.values import encode
from mmspec.errors import InputError
from mmspec.experiment.classes import numbers_of
from mmspec.experiment.recordings import recordings_for
from mmspec.experiment.sample_folder import SHOWN, SampleOptions, refuse_foreign, write_record
from mmspec.experiment.sampling_progress import sampling_progress
from mmspec.experiment.texts import texts_of
from mmspec.exported.model import ExportedDenoiser, ExportedFacts
from mmspec.files import staged
from mmspec.typed import write

LABELS, CONTEXT, SPECTROGRAM = "labels", "context", "spectrogram"  # conditions
KEYS = {"text": CONTEXT, "captions": CONTEXT, "recordings": SPECTROGRAM}  # options, and what they say
FIXED = ("sampler", "steps", "guidance")  # at export
NEEDS_TORCH = ("correction", "text_encoder", "walk")


@dataclass(frozen=True)
class _Draws:
    """What is to be drawn, and what is told of each sample.

    Attributes:
        classes: ``[N]``, or None without.
        recordings: of a vocoder, from whose spectrograms it draws; they differ in length, so one at a time.
        texts: of each sample, where they are told of texts.
        encode: texts -> ``[B, L, D]``.
    """

    denoiser: ExportedDenoiser
    options: SampleOptions
    num: int
    classes: np.ndarray | None
    recordings: Recordings | None
    texts: list[str] | None
    encode: Callable[[Sequence[str]], np.ndarray] | None

    @property
    def meta(self) -> DatasetMeta:
        """Of the samples as a data set."""
        signal = self.denoiser.facts.signal
        return DatasetMeta(
            modality="audio" if signal.sample_rate else "image",
            source=self.options.from_,
            sample_rate=signal.sample_rate,
            classes=None if self.classes is None else tuple(signal.classes or ()),
            count=self.num,
            shape=signal.shape if self.recordings is None else self.recordings.meta.shape,
        )

    @property
    def lengths(self) -> np.ndarray | None:
        """Of each sample, where they differ."""
        return None if self.recordings is None else self.recordings.lengths[: self.num]

    def batches(self) -> Iterator[tuple[int, np.ndarray]]:
        """Samples ``[B, C, *spatial]``, with the index of the first.

        Raises:
            InputError: if they are not finite.
        """
        size = self.options.batch_size if self.recordings is None else 1
        nothing = {CONTEXT: self.encode([""])} if self.encode is not None else {}
        for start in range(0, self.num, size):
            rows = np.arange(start, min(start + size, self.num))
            seeds = [self.options.seed + row for row in rows.tolist()]
            clip = None if self.recordings is None else self.recordings.array(start)
            length = None if clip is None or self.recordings is None else clip.shape[-1] - 2 * self.recordings.margin
            samples = self.denoiser.sample(seeds, self._told(rows, clip), nothing, length)
            if not np.isfinite(samples).all():
                raise InputError(f"samples from {start} on hold NaN or infinity: {self.options.from_} is damaged.")
            yield start, samples if self.lengths is None else samples[..., : self.lengths[start]]

    def _told(self, rows: np.ndarray, clip: np.ndarray | None) -> dict[str, np.ndarray]:
        """Classes as one-hot rows, spectrograms and embeddings of texts, and zeros of all else."""
        facts, told = self.denoiser.facts, {}
        if facts.conditioner is not None and clip is not None:
            told[SPECTROGRAM] = facts.conditioner.frames(clip)
        if self.encode is not None and self.texts is not None:
            told[CONTEXT] = self.encode([self.texts[row] for row in rows])
        for name in facts.conditions.keys() - told.keys():
            told[name] = np.zeros((len(rows), facts.conditions[name]), np.float32)
        if self.classes is not None and LABELS in told:
            told[LABELS][np.arange(len(rows)), self.classes[rows]] = 1
        return told


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
    draws = _prepare(denoiser, options)
    with staged(out) as folder:
        shown = _draw(draws, folder)
        complete(folder, draws.classes, draws.lengths, draws.texts, meta=draws.meta)
        write_samples(shown, folder, facts.signal.sample_rate, draws.lengths)
        seconds = time.perf_counter() - started
        fixed = {name: write(getattr(facts, name)) for name in FIXED}
        said = {name: getattr(options, name) for name in ("labels", "seed", "text", "captions")}
        source = None if draws.recordings is None else str(draws.recordings.dataset.folder)
        whence = {"from": options.from_, "denoiser": options.from_, "recordings": source}
        write_record(folder, {**fixed, **said, **whence, "num": draws.num, "seconds": seconds})
    sampler = facts.sampler.name.lower()
    return (
        f"{draws.num} samples in {out} ({seconds:.1f} s by ONNX Runtime, {sampler} in {facts.steps} steps as exported)"
    )


def _prepare(denoiser: ExportedDenoiser, options: SampleOptions) -> _Draws:
    facts = denoiser.facts
    recordings = _recordings(facts, options)
    num = len(recordings) if options.num == "all" and recordings is not None else options.num
    if num == "all":
        raise InputError("num=all is of a vocoder's recordings: give a number.")
    texts = encode = None
    if CONTEXT in facts.conditions:
        encode = denoiser.text_encoder()
        texts = texts_of(None if options.text is None else str(options.text), options.captions, None, num)
    classes = numbers_of(facts.signal.classes, options.labels, num)
    return _Draws(denoiser, options, num, classes, recordings, texts, encode)


def _recordings(facts: ExportedFacts, options: SampleOptions) -> Recordings | None:
    if facts.conditioner is None:
        if SPECTROGRAM in facts.conditions:
            raise InputError(
                f"{options.from_} says nothing of how its spectrograms are made: export it again from a denoiser that "
                "knows its conditioner."
            )
        return None
    if options.recordings is None:
        raise InputError("this denoiser samples from spectrograms: give recordings=, a packed data set of sound.")
    return recordings_for(facts.signal, options.recordings, options.num, facts.conditioner.margin)


def _draw(draws: _Draws, folder: Path) -> np.ndarray:
    """Write all samples, a batch at a time; returns the first as they are shown, ``[<= SHOWN, C, *spatial]``."""
    meta, shown = draws.meta, []
    with DataFile(folder, meta, new=True) as file, sampling_progress(meta.count, "samples") as done:
        for start, samples in draws.batches():
            file.write(start, encode(samples))
            behind = meta.shape[-1] - samples.shape[-1]  # of a recording, silence
            shown.append(np.pad(samples, [*[(0, 0)] * (samples.ndim - 1), (0, behind)])[: max(0, SHOWN - start)])
            done(start + len(samples))
    return np.concatenate(shown)


def _word(value: object) -> str:
    """As a command line writes it; of a sampler its class."""
    return value.name if isinstance(value, Component) else str(write(value))


def _refuse_others(options: SampleOptions, defaults: SampleOptions, facts: ExportedFacts) -> None:
    for key, name in KEYS.items():
        if name not in facts.conditions and (given := getattr(options, key)) is not None:
            raise InputError(f"{key}={given}: {options.from_} is told nothing of the kind; leave {key} out.")
    for name in FIXED:
        given, fixed = getattr(options, name), getattr(facts, name)
        if given not in (fixed, getattr(defaults, name)):
            raise InputError(
                f"{name}={_word(given)} is not what {options.from_} was exported with, {_word(fixed)}: leave it out, "
                "or export again."
            )
    for name in (*NEEDS_TORCH, "mixed_precision", "channels_last", "compile"):
        if getattr(options, name) != getattr(defaults, name):
            raise InputError(f"{name} is not of an exported denoiser: leave it out, or sample from its run.")
    if facts.guidance is not None and options.labels == "none" and not {CONTEXT, SPECTROGRAM} & facts.conditions.keys():
        raise InputError(
            f"{options.from_} was exported with guidance={facts.guidance}, which needs classes: give labels."
        )
