"""Samples of a denoiser as a packed data set, drawn by one process or by several."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmspec.data import DatasetMeta
from mmspec.data.media import write_samples
from mmspec.data.packed import DataFile, complete
from mmspec.data.recordings import Recordings
from mmspec.data.values import decode, encode
from mmspec.data.walk import FOLDER as WALK
from mmspec.devices import refuse_missing_on
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.diffusion.conditions import Batch, Condition, Context, hideable, said, tell
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.guidance import Guided
from mmspec.diffusion.samplers import Sampler
from mmspec.diffusion.samplers.sampler import OnStep
from mmspec.errors import InputError
from mmspec.experiment import few_steps
from mmspec.experiment.conditions import choose_classes, sampling_context
from mmspec.experiment.correction_file import CalibratedFor, read_correction
from mmspec.experiment.inference import EAGER, Way, compiled, fastest
from mmspec.experiment.kept_walk import write_walks
from mmspec.experiment.launch import Launch
from mmspec.experiment.sample_folder import FACTS, SHOWN, SampleOptions, refuse_foreign, write_record
from mmspec.experiment.sampling_progress import sampling_progress
from mmspec.experiment.signals import whole_recordings
from mmspec.experiment.sources import weights_sha256
from mmspec.files import content_sha256, replace_bytes, staged
from mmspec.interruption import Interrupted
from mmspec.provenance import provenance
from mmspec.training.run import find_denoiser
from mmspec.typed import write

FREE = ("from", "out", "batch_size", "device", "walk")  # what samples do not follow from; weights are known by content


@dataclass(frozen=True)
class Draws:
    """What is drawn, and how.

    Attributes:
        options: of the command.
        denoiser: that draws.
        sampler: by which it draws.
        correction: of what the denoiser predicts, or None.
        recordings: which a vocoder resynthesizes, or None.
        classes: of each sample, int64 ``[num]``, or None.
        conditions: what is told of each.
        meta: of all samples together.
        device: where they are drawn.
        way: how the denoiser is called.
        gain: how many times faster that is than eagerly, where it was measured.
    """

    options: SampleOptions
    denoiser: Denoiser
    sampler: Callable[..., Tensor]
    correction: Correction | None
    recordings: Recordings | None
    classes: Tensor | None
    conditions: list[Condition]
    meta: DatasetMeta
    device: torch.device
    way: Way = EAGER
    gain: float | None = None

    @property
    def texts(self) -> list[str] | None:
        """A text of each sample, where they are told of texts."""
        return next((list(each.texts) for each in self.conditions if isinstance(each, Context)), None)

    def stored(self, indices: range, drawn: "Drawn", shown: bool) -> Iterator[tuple[int, np.ndarray]]:
        """The samples at ``indices`` as they are stored, in batches, each with the index of its first.

        Args:
            indices: of the samples.
            drawn: which of them are there already; batches of these alone are left out.
            shown: whether it is shown how far it is.

        Raises:
            InputError: if a sample is not finite.
        """
        # Recordings differ in length, and with silence behind them would depend on the others in their batch.
        size = self.options.batch_size if self.recordings is None else 1
        batches = drawn.missing([range(start, min(start + size, indices.stop)) for start in indices[::size]])
        steps = self.options.steps
        with sampling_progress(steps * len(batches), f"steps of {len(batches)} batches", shown) as done:
            for number, batch in enumerate(batches):
                before = steps * number
                whole = range(max(indices.start, batch.stop - size), batch.stop) if self.way.compile else batch
                samples = self._samples(whole, lambda step, *_, before=before: done(before + step + 1))[-len(batch) :]
                if not samples.isfinite().all():
                    raise InputError(
                        f"samples from {batch.start} on hold NaN or infinity: the weights in {self.options.from_} are "
                        "damaged, or the sampler's options do not suit them."
                    )
                done(before + steps)
                yield batch.start, encode(samples)

    @property
    def walks(self) -> list[Callable[[OnStep], Tensor]]:
        """The walks of the samples whose steps are kept."""
        return [partial(self._samples, range(i, i + 1)) for i in range(min(self.options.walk, self.meta.count))]

    def _samples(self, indices: range, on_step: OnStep) -> Tensor:
        batch = self._batch(indices)
        told: dict[str, Any] = {**tell(self.conditions, batch)}
        shape = (len(indices), *self.meta.shape) if batch.clips is None else self.denoiser.clean(batch.clips).shape
        with self._precision():
            samples = sample(
                self.denoiser,
                tuple(shape),
                sampler=self.sampler,
                steps=self.options.steps,
                guidance=self.options.guidance,
                correction=self.correction,
                generator=seeded([self.options.seed + i for i in indices]),
                callback=on_step,
                **told,
            )
        return samples if self.recordings is None else samples[..., : self.recordings.lengths[indices.start]]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.mixed_precision == "bf16")

    def quickened(self, count: int) -> "Draws":
        """The same with the denoiser called as the options ask for, or where they leave it open as is fastest.

        Args:
            count: samples that this process draws.

        Raises:
            InputError: if it cannot be compiled.
        """
        layouts, compiling = (
            (False, True) if asked == "auto" else (asked,)
            for asked in (self.options.channels_last, self.options.compile)
        )
        if self.recordings is not None and self.options.compile == "auto":
            compiling = (False,)
        ways = [Way(layout, compile) for compile in compiling for layout in layouts]
        size = min(count, self.options.batch_size)
        call = self._call(range(size))
        if len(ways) == 1:
            made = ways[0].of(self.denoiser)
            if ways[0].compile:
                compiled(call, made)
            return replace(self, denoiser=made, way=ways[0])
        found = fastest(self.denoiser, call, ways, self.options.steps * count / size)
        return replace(self, denoiser=found.denoiser, way=found.way, gain=found.gain)

    def _call(self, indices: range) -> Callable[[Denoiser], Tensor]:
        """What a step does to a denoiser, with a batch of samples."""
        batch = self._batch(indices)
        told = tell(self.conditions, batch)
        guidance = self.options.guidance
        shape = (len(indices), *self.meta.shape) if batch.clips is None else self.denoiser.clean(batch.clips).shape
        if self.denoiser.first_stage is not None:
            shape = (shape[0], *self.denoiser.first_stage.latent_shape(shape[1:]))
        x = torch.zeros(tuple(shape), dtype=torch.float64, device=self.device)
        sigma = torch.ones(len(x), dtype=x.dtype, device=self.device)

        def call(denoiser: Denoiser) -> Tensor:
            with self._precision():
                if guidance is not None:
                    return Guided(denoiser, guidance)(x, sigma, **told)
                x0_hat: Tensor = denoiser(x, sigma, **said(told))
            return x0_hat

        return call

    def _batch(self, indices: range) -> Batch:
        """What is known of the samples before they are drawn."""
        clips = self.recordings[indices.start] if self.recordings is not None else None
        classes = self.classes[indices.start : indices.stop] if self.classes is not None else None
        return Batch(clips, classes, indices).to(self.device)


class Drawn:
    """Which samples of a folder that is being made are on the disk: a file with a byte for each, 1 where it is.

    Args:
        folder: that is being made.
        count: of samples.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.file, self.count = folder / "drawn", count

    @property
    def begun(self) -> bool:
        """Whether the folder has room for all samples."""
        return self.file.is_file() and self.file.stat().st_size == self.count

    def begin(self) -> None:
        """None is there yet."""
        replace_bytes(self.file, bytes(self.count))

    def missing(self, batches: Sequence[range]) -> list[range]:
        """Those of which not all is there."""
        drawn = self.file.read_bytes()
        return [batch for batch in batches if not all(drawn[batch.start : batch.stop])]

    def add(self, start: int, count: int) -> None:
        """Note so many samples from ``start`` on, by one of several processes."""
        with self.file.open("r+b") as file:
            file.seek(start)
            file.write(b"\1" * count)


def prepare(options: SampleOptions, source: Path | str, device: torch.device) -> Draws:
    """What the options ask for.

    Raises:
        InputError: if they do not go together, or not with the denoiser.
    """
    refuse_missing_on(device, options.mixed_precision, options.compile is True)
    if options.compile is True and options.recordings is not None:
        raise InputError("compile=true is of samples of one size, recordings have their own: leave it out.")
    denoiser = Denoiser.from_pretrained(source, device).eval()
    shape = denoiser.signal_shape
    if shape is None:
        raise InputError(f"{source} does not say the shape of its signals: add signal.shape to its config.json.")
    recordings = whole_recordings(denoiser, options.recordings, options.from_, options.num)
    if recordings is not None:
        shape = recordings.meta.shape  # as wide as the set that they are from
    num = len(recordings) if options.num == "all" and recordings else options.num
    if num == "all":
        raise InputError("num=all is of a vocoder's recordings: give a number.")
    classes = choose_classes(denoiser, options.labels, num)
    text = None if options.text is None else str(options.text)
    context = sampling_context(
        denoiser,
        num,
        text=text,
        captions=options.captions,
        encoder=options.text_encoder,
        source=options.from_,
    )
    meta = DatasetMeta(
        modality="audio" if denoiser.sample_rate else "image",
        source=str(source),
        sample_rate=denoiser.sample_rate,
        classes=None if classes is None else tuple(denoiser.classes or ()),
        count=num,
        shape=shape,
    )
    sampler = options.sampler.build(Sampler, "sampler")
    correction = _correction(options, source, denoiser)
    conditions = [*denoiser.conditions, *context]
    draws = Draws(options, denoiser, sampler, correction, recordings, classes, conditions, meta, device)
    if options.guidance is not None and not hideable(tell(draws.conditions, draws._batch(range(1)))):
        raise InputError(
            f"guidance={options.guidance} needs classes, a text or recordings to follow, there are none: leave it out."
        )
    return draws


def _correction(options: SampleOptions, source: Path | str, denoiser: Denoiser) -> Correction | None:
    if options.correction is None:
        return None
    return read_correction(options.correction, CalibratedFor.of(denoiser, weights_sha256(source), options.guidance))


def write_draws(options: SampleOptions) -> str | None:
    """Draw samples into a packed set; sample i depends on ``seed + i`` alone, not on how many processes share the work.

    Every process writes what it draws, a batch at a time, so memory does not grow with ``num``.

    Returns:
        In the first process, a sentence that says what there is and where.

    Raises:
        InputError: as `prepare`, or if the folder holds something else.
        Interrupted: after a signal to stop; what is drawn is kept, and the same options go on with it.
    """
    started = time.perf_counter()
    source, out = find_denoiser(options.from_), options.folder
    refuse_foreign(out)
    launch = Launch.current()
    if launch.first:
        few_steps.remark(options.from_, options.sampler, options.steps)
    draws = prepare(options, source, launch.device(options.device))
    with ExitStack() as stack:
        stack.enter_context(launch.together())

        def stage() -> str:
            folder = stack.enter_context(staged(out, work=_identity(draws, source)))
            if not (drawn := Drawn(folder, draws.meta.count)).begun:
                DataFile(folder, draws.meta, new=True).close()
                drawn.begin()
            return str(folder)

        folder = Path(launch.agree("folder", stage))
        draws = draws.quickened(len(launch.share(draws.meta.count)))
        drawn = _draw(draws, folder, launch)
        if not launch.first:
            return None
        _complete(draws, folder)
        seconds = time.perf_counter() - started
        facts = _facts(draws) | {"processes": launch.count, "denoiser": str(source), "seconds": seconds}
        write_record(folder, facts, besides=[drawn.file.name])
        drawn.file.unlink()
    shared = f", {launch.count} processes" if launch.count > 1 else ""
    chosen = f", {draws.way}: {draws.gain:.2f}x" if draws.gain is not None else ""
    return f"{draws.meta.count} samples in {out} ({seconds:.1f} s on {draws.device.type}{shared}{chosen})"


def _draw(draws: Draws, folder: Path, launch: Launch) -> Drawn:
    """Draw this process's share of what is not there yet, and wait for the others'."""
    drawn = Drawn(folder, draws.meta.count)
    try:
        with DataFile(folder, draws.meta) as file:
            for index, stored in draws.stored(launch.share(draws.meta.count), drawn, shown=launch.first):
                file.write(index, stored)
                file.flush()
                drawn.add(index, len(stored))
        launch.wait("drawn")
    except KeyboardInterrupt:
        raise Interrupted("interrupted, what is drawn is kept: run the same command again to go on.") from None
    return drawn


def _identity(draws: Draws, source: Path | str) -> str:
    """All that samples follow from, in a checksum: what was drawn of others is not gone on with."""
    options = {key: value for key, value in write(draws.options).items() if key not in FREE}
    files = [Path(source), *([draws.options.correction] if draws.options.correction else [])]
    parts = {
        "options": options,
        "files": [content_sha256(file) if file.exists() else str(file) for file in files],
        "recordings": draws.recordings.dataset.meta.sha256 if draws.recordings else None,
        "classes": None if draws.classes is None else draws.classes.tolist(),
        "texts": draws.texts,
        "shape": [draws.meta.count, *draws.meta.shape],
        "versions": provenance()["versions"],
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _complete(draws: Draws, folder: Path) -> None:
    """What lies beside the data, and files to look at or listen to."""
    labels = None if draws.classes is None else draws.classes.numpy()
    lengths = draws.recordings.lengths[: draws.meta.count] if draws.recordings else None
    complete(folder, labels, lengths, draws.texts, meta=draws.meta)
    if walks := draws.walks:
        write_walks(folder / WALK, draws.denoiser, walks, draws.meta, labels, lengths)
    data = np.load(folder / "data.npy", mmap_mode="r")
    write_samples(decode(np.array(data[:SHOWN])), folder, draws.meta.sample_rate, lengths)


def _facts(draws: Draws) -> dict[str, Any]:
    options = write(draws.options)
    recordings = str(draws.recordings.dataset.folder) if draws.recordings else None
    facts = {name: options[name] for name in FACTS}
    return {**facts, "num": draws.meta.count, "recordings": recordings, "from": options["from"]}
