"""``mmspec sample``: signals from a trained denoiser, as a packed data set and as files to look at or listen to."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmspec.commands.assemble import make_sampler
from mmspec.commands.labels import choose_classes, rows
from mmspec.commands.processes import Processes
from mmspec.commands.signals import whole_recordings
from mmspec.commands.texts import Texts, sampling_texts
from mmspec.config import plain
from mmspec.data import DatasetMeta
from mmspec.data.crops import Recordings
from mmspec.data.media import write_samples
from mmspec.data.packed import DataFile, complete, decode, encode, refuse_other_content
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.errors import InputError
from mmspec.files import staged
from mmspec.provenance import provenance
from mmspec.training.checkpoint import find_denoiser

# Of the configuration, what sample.json repeats.
FACTS = ("sampler", "steps", "guidance", "seed", "num", "labels", "text", "captions", "mixed_precision")
SHOWN = 64  # signals in the overview


def run(cfg: DictConfig) -> None:
    """Draw ``cfg.num`` samples; sample i depends on ``cfg.seed + i`` alone, not on how many processes share the work.

    Every process writes what it draws into one packed set, a batch at a time, so memory does not grow with ``num``.
    """
    config, started = plain(cfg), time.perf_counter()
    source, out = find_denoiser(config["from"]), _output_folder(config)
    refuse_other_content(out)
    processes = Processes.of_launch()
    draws = _draws(config, source, processes.device(config["device"]))
    with ExitStack() as stack:

        def stage() -> str:
            folder = stack.enter_context(staged(out))
            DataFile(folder, draws.meta, new=True).close()
            return str(folder)

        folder = Path(processes.agree("folder", stage))
        with DataFile(folder, draws.meta) as file:
            for index, stored in draws.stored(processes.share(draws.meta.count), shown=processes.first):
                file.write(index, stored)
        processes.wait("drawn")
        if not processes.first:
            return
        labels = None if draws.classes is None else draws.classes.numpy()
        lengths = draws.recordings.lengths[: draws.meta.count] if draws.recordings else None
        captions = None if draws.texts is None else draws.texts.texts
        complete(folder, labels, lengths, captions, meta=draws.meta)
        data = np.load(folder / "data.npy", mmap_mode="r")
        write_samples(decode(np.array(data[:SHOWN])), folder, draws.meta.sample_rate, lengths)
        facts = {key: config[key] for key in FACTS} | {"num": draws.meta.count, "processes": processes.count}
        facts["recordings"] = str(draws.recordings.dataset.folder) if draws.recordings else None
        seconds = time.perf_counter() - started
        facts |= {"from": config["from"], "denoiser": str(source), "seconds": seconds, **provenance()}
        (folder / "sample.json").write_text(json.dumps(facts, indent=2) + "\n")
    shared = f", {processes.count} processes" if processes.count > 1 else ""
    print(f"{draws.meta.count} samples in {out} ({seconds:.1f} s on {draws.device.type}{shared})")


@dataclass(frozen=True)
class Draws:
    """What is drawn, and how.

    Attributes:
        config: of the command.
        denoiser: that draws.
        sampler: by which it draws.
        recordings: which a vocoder resynthesizes, or None.
        classes: of each sample, int64 ``[num]``, or None.
        texts: of the samples, or None.
        meta: of all samples together.
        device: where they are drawn.
    """

    config: dict[str, Any]
    denoiser: Denoiser
    sampler: Callable[..., Tensor]
    recordings: Recordings | None
    classes: Tensor | None
    texts: Texts | None
    meta: DatasetMeta
    device: torch.device

    def stored(self, indices: range, shown: bool) -> Iterator[tuple[int, np.ndarray]]:
        """The samples at ``indices`` as they are stored, in batches, each with the index of its first.

        Args:
            shown: whether a bar shows how far it is.

        Raises:
            InputError: if a sample is not finite.
        """
        # Recordings differ in length, and with silence behind them would depend on the others in their batch.
        size = self.config["batch_size"] if self.recordings is None else 1
        console = Console(stderr=True)
        starts = track(indices[::size], "sampling", console=console, disable=not (shown and console.is_terminal))
        for start in starts:
            batch = self._batch(range(start, min(start + size, indices.stop)))
            if not batch.isfinite().all():
                raise InputError(
                    f"samples from {start} on hold NaN or infinity: the weights in {self.config['from']} are damaged, "
                    "or the sampler's options do not suit them."
                )
            yield start, encode(batch)

    def _batch(self, indices: range) -> Tensor:
        shape: tuple[int, ...] = (len(indices), *self.meta.shape)
        cond: dict[str, Any] = {}
        if self.recordings is not None:
            x0, cond = self.denoiser.condition(self.recordings[indices.start].to(self.device))
            shape = tuple(x0.shape)
        if self.classes is not None:
            cond["labels"] = rows(self.denoiser, self.classes[indices.start : indices.stop])
        if self.texts is not None:
            cond |= self.texts(indices)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config["mixed_precision"] == "bf16"):
            samples = sample(
                self.denoiser,
                shape,
                sampler=self.sampler,
                steps=self.config["steps"],
                guidance=self.config["guidance"],
                generator=seeded([self.config["seed"] + i for i in indices]),
                **cond,
            )
        return samples if self.recordings is None else samples[..., : self.recordings.lengths[indices.start]]


def _draws(config: dict[str, Any], source: Path | str, device: torch.device) -> Draws:
    denoiser = Denoiser.from_pretrained(source, device).eval()
    shape = denoiser.signal_shape
    if shape is None:
        raise InputError(f"{source} does not say the shape of its signals: add signal.shape to its config.json.")
    if config["channels_last"]:
        denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recordings = whole_recordings(config, denoiser)
    if recordings is not None:
        shape = recordings.meta.shape  # as wide as the set that they are from
    num = len(recordings) if config["num"] == "all" and recordings else config["num"]
    if not isinstance(num, int) or num < 1 or config["batch_size"] < 1:
        raise InputError(f"num and batch_size must be 1 or more, not {num} and {config['batch_size']}.")
    chosen = choose_classes(denoiser, config["labels"], num)
    texts = sampling_texts(config, denoiser, num)
    if config["guidance"] is not None and chosen is None and texts is None:
        raise InputError(f"guidance={config['guidance']} needs class labels or a text, there are none: leave it out.")
    meta = DatasetMeta(
        modality="audio" if denoiser.sample_rate else "image",
        source=str(source),
        sample_rate=denoiser.sample_rate,
        classes=None if chosen is None else tuple(denoiser.classes or ()),
        count=num,
        shape=shape,
    )
    return Draws(config, denoiser, make_sampler(config), recordings, chosen, texts, meta, device)


def _output_folder(config: dict[str, Any]) -> Path:
    if config["out"] is not None:
        return Path(config["out"])
    run_folder = Path(config["from"])
    if not (run_folder / "config.yaml").is_file():
        raise InputError(f"from={run_folder} is not a run: say with out=FOLDER where the samples go.")
    return run_folder / "samples" / "final"
