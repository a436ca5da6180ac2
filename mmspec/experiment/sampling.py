"""Samples of a denoiser as a packed data set, drawn by one process or by several."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmspec.components import Component
from mmspec.data import DatasetMeta
from mmspec.data.crops import Recordings
from mmspec.data.media import write_samples
from mmspec.data.packed import DataFile, complete, decode, encode
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.diffusion.conditions import Batch, Condition, Context, hideable, tell
from mmspec.diffusion.correction import Correction
from mmspec.diffusion.samplers import Sampler
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.experiment.conditions import choose_classes, sampling_context
from mmspec.experiment.correction_file import CalibratedFor, read_correction
from mmspec.experiment.launch import Launch
from mmspec.experiment.machine import check_seed
from mmspec.experiment.signals import whole_recordings
from mmspec.experiment.sources import refuse_missing, weights_sha256
from mmspec.files import replace_text, staged
from mmspec.provenance import provenance
from mmspec.report.runs import SampleFile
from mmspec.training.run import Run, find_denoiser
from mmspec.typed import write

RECORD = "sample.json"
# Of the options, what it repeats.
FACTS = ("sampler", "steps", "guidance", "correction", "seed", "num", "labels", "text", "captions", "mixed_precision")
SHOWN = 64  # signals in the overview


@dataclass(frozen=True)
class SampleOptions:
    """The options of ``mmspec sample``: conf/sample.yaml explains each."""

    from_: str
    sampler: Component
    out: Path | None = None
    num: int | Literal["all"] = 64
    steps: int = 18
    guidance: float | None = None
    correction: Path | None = None
    labels: str | int = "balanced"
    text: str | int | float | None = None
    captions: str | None = None
    text_encoder: str | None = None
    recordings: str | None = None
    seed: int = 0
    batch_size: int = 64
    mixed_precision: Literal["no", "bf16"] = "no"
    channels_last: bool = False
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.steps < 1 or (self.num != "all" and self.num < 1):
            raise InputError(
                f"num, steps and batch_size must be 1 or more, not {self.num}, {self.steps} and {self.batch_size}."
            )
        check_seed(self.seed)

    @property
    def folder(self) -> Path:
        """Where the samples go.

        Raises:
            InputError: if that is not said, and does not follow from a run.
        """
        if self.out is not None:
            return self.out
        if (run := Run.at(self.from_)) is None:
            refuse_missing(self.from_)
            raise InputError(f"from={self.from_} is not a run: say with out=FOLDER where the samples go.")
        return run.samples


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

    @property
    def texts(self) -> list[str] | None:
        """A text of each sample, where they are told of texts."""
        return next((list(each.texts) for each in self.conditions if isinstance(each, Context)), None)

    def stored(self, indices: range, shown: bool) -> Iterator[tuple[int, np.ndarray]]:
        """The samples at ``indices`` as they are stored, in batches, each with the index of its first.

        Args:
            shown: whether a bar shows how far it is.

        Raises:
            InputError: if a sample is not finite.
        """
        # Recordings differ in length, and with silence behind them would depend on the others in their batch.
        size = self.options.batch_size if self.recordings is None else 1
        console = Console(stderr=True)
        starts = track(indices[::size], "sampling", console=console, disable=not (shown and console.is_terminal))
        for start in starts:
            samples = self._samples(range(start, min(start + size, indices.stop)))
            if not samples.isfinite().all():
                raise InputError(
                    f"samples from {start} on hold NaN or infinity: the weights in {self.options.from_} are damaged, "
                    "or the sampler's options do not suit them."
                )
            yield start, encode(samples)

    def _samples(self, indices: range) -> Tensor:
        batch = self._batch(indices)
        told: dict[str, Any] = {**tell(self.conditions, batch)}
        shape = (len(indices), *self.meta.shape) if batch.clips is None else self.denoiser.clean(batch.clips).shape
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.mixed_precision == "bf16"):
            samples = sample(
                self.denoiser,
                tuple(shape),
                sampler=self.sampler,
                steps=self.options.steps,
                guidance=self.options.guidance,
                correction=self.correction,
                generator=seeded([self.options.seed + i for i in indices]),
                **told,
            )
        return samples if self.recordings is None else samples[..., : self.recordings.lengths[indices.start]]

    def _batch(self, indices: range) -> Batch:
        """What is known of the samples before they are drawn."""
        clips = self.recordings[indices.start] if self.recordings is not None else None
        classes = self.classes[indices.start : indices.stop] if self.classes is not None else None
        return Batch(clips, classes, indices).to(self.device)


def prepare(options: SampleOptions, source: Path | str, device: torch.device) -> Draws:
    """What the options ask for.

    Raises:
        InputError: if they do not go together, or not with the denoiser.
    """
    denoiser = Denoiser.from_pretrained(source, device).eval()
    shape = denoiser.signal_shape
    if shape is None:
        raise InputError(f"{source} does not say the shape of its signals: add signal.shape to its config.json.")
    if options.channels_last:
        denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
    """
    started = time.perf_counter()
    source, out = find_denoiser(options.from_), options.folder
    _refuse_foreign(out)
    launch = Launch.current()
    draws = prepare(options, source, launch.device(options.device))
    with ExitStack() as stack:

        def stage() -> str:
            folder = stack.enter_context(staged(out))
            DataFile(folder, draws.meta, new=True).close()
            return str(folder)

        folder = Path(launch.agree("folder", stage))
        with DataFile(folder, draws.meta) as file:
            for index, stored in draws.stored(launch.share(draws.meta.count), shown=launch.first):
                file.write(index, stored)
        launch.wait("drawn")
        if not launch.first:
            return None
        _complete(draws, folder)
        seconds = time.perf_counter() - started
        facts = _facts(draws) | {"processes": launch.count, "denoiser": str(source), "seconds": seconds, **provenance()}
        facts["files"] = sorted(path.name for path in folder.iterdir())
        replace_text(folder / RECORD, json.dumps(facts, indent=2) + "\n")
    shared = f", {launch.count} processes" if launch.count > 1 else ""
    return f"{draws.meta.count} samples in {out} ({seconds:.1f} s on {draws.device.type}{shared})"


def _refuse_foreign(out: Path) -> None:
    """See that nothing is lost which this command did not make; an evaluation of samples goes with them."""
    mend = "move it away, or give another out=FOLDER"
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, where a folder of samples is to be: {mend}.")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    if found and RECORD not in found:
        raise InputError(f"{out} holds something that `mmspec sample` did not make (it has no {RECORD}): {mend}.")
    own = read_json(out / RECORD, SampleFile).get("files") if found else None
    if own is not None and (foreign := sorted(found - {RECORD, "evaluation.json", *own})):
        raise InputError(f"{out} holds {foreign[0]}, which `mmspec sample` did not put there: {mend}.")


def _complete(draws: Draws, folder: Path) -> None:
    """What lies beside the data, and files to look at or listen to."""
    labels = None if draws.classes is None else draws.classes.numpy()
    lengths = draws.recordings.lengths[: draws.meta.count] if draws.recordings else None
    complete(folder, labels, lengths, draws.texts, meta=draws.meta)
    data = np.load(folder / "data.npy", mmap_mode="r")
    write_samples(decode(np.array(data[:SHOWN])), folder, draws.meta.sample_rate, lengths)


def _facts(draws: Draws) -> dict[str, Any]:
    options = write(draws.options)
    recordings = str(draws.recordings.dataset.folder) if draws.recordings else None
    facts = {name: options[name] for name in FACTS}
    return {**facts, "num": draws.meta.count, "recordings": recordings, "from": options["from"]}
