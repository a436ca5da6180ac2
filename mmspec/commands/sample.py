"""``mmspec sample``: signals from a trained denoiser, as a packed data set and as files to look at or listen to."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from mmspec.commands.assemble import make_sampler
from mmspec.commands.labels import choose_labels
from mmspec.commands.signals import whole_recordings
from mmspec.config import plain
from mmspec.data import DatasetMeta
from mmspec.data.crops import Crops
from mmspec.data.media import write_samples
from mmspec.data.packed import decode, encode, fill_packed, refuse_other_content
from mmspec.data.staging import staged
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.errors import InputError
from mmspec.training.checkpoint import find_denoiser
from mmspec.training.run import provenance


def run(cfg: DictConfig) -> None:
    """Draw ``cfg.num`` samples; sample i depends on ``cfg.seed + i`` alone."""
    config = plain(cfg)
    source = find_denoiser(config["from"])
    out = _output_folder(config)
    refuse_other_content(out)
    device = "cuda" if torch.cuda.is_available() and config["device"] == "auto" else "cpu"
    denoiser = Denoiser.from_pretrained(source, device).eval()
    if denoiser.signal_shape is None:
        raise InputError(f"{source} does not say the shape of its signals: add signal.shape to its config.json.")
    if config["channels_last"]:
        denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    labels = choose_labels(denoiser, config["labels"], config["num"])
    recordings = whole_recordings(config, denoiser)
    started = time.perf_counter()
    stored = np.concatenate([encode(batch) for batch in _batches(config, denoiser, labels, recordings, device)])
    seconds = time.perf_counter() - started
    lengths = _cut(stored, recordings)
    drawn_classes = labels.argmax(1).numpy() if labels is not None and labels.any() else None
    meta = DatasetMeta(
        modality="audio" if denoiser.sample_rate else "image",
        source=str(source),
        sample_rate=denoiser.sample_rate,
        classes=tuple(denoiser.classes or ()) if drawn_classes is not None else None,
    )
    facts = {key: config[key] for key in ("sampler", "steps", "guidance", "seed", "num", "labels", "mixed_precision")}
    with staged(out) as beside:
        fill_packed(beside, stored, np.arange(len(stored)), drawn_classes, lengths, meta=meta)
        write_samples(decode(stored[:64]), beside, denoiser.sample_rate)
        facts["recordings"] = str(recordings.dataset.folder) if recordings else None
        facts |= {"from": config["from"], "denoiser": str(source), "seconds": seconds, **provenance()}
        (beside / "sample.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{len(stored)} samples in {out} ({seconds:.1f} s on {device})")


def _output_folder(config: dict[str, Any]) -> Path:
    if config["out"] is not None:
        return Path(config["out"])
    run_folder = Path(config["from"])
    if not (run_folder / "config.yaml").is_file():
        raise InputError(f"from={run_folder} is not a run: say with out=FOLDER where the samples go.")
    return run_folder / "samples" / "final"


def _start(
    denoiser: Denoiser, recordings: Crops | None, indices: range, device: str
) -> tuple[Sequence[int], dict[str, Any]]:
    """Shape of the samples to draw, and what they are conditioned on."""
    if recordings is None:
        return (len(indices), *(denoiser.signal_shape or ())), {}
    x0, cond = denoiser.condition(recordings.batch(indices)[0].to(device))
    return x0.shape, cond


def _cut(stored: np.ndarray, recordings: Crops | None) -> np.ndarray | None:
    """Silence what lies beyond the ends of the recordings that were resynthesized; their lengths."""
    if recordings is None or recordings.dataset.lengths is None:
        return None
    lengths = recordings.dataset.lengths[: len(stored)]
    stored[np.arange(stored.shape[1]) >= lengths[:, None]] = 0
    return lengths


def _batches(
    config: dict[str, Any], denoiser: Denoiser, labels: torch.Tensor | None, recordings: Crops | None, device: str
) -> Any:
    sampler, num, size = make_sampler(config), config["num"], config["batch_size"]
    if num < 1 or size < 1:
        raise InputError(f"num and batch_size must be 1 or more, not {num} and {size}.")
    if config["guidance"] is not None and labels is None:
        raise InputError(f"guidance={config['guidance']} needs class labels, and this denoiser has none: leave it out.")
    autocast = torch.autocast(device, torch.bfloat16, enabled=config["mixed_precision"] == "bf16")
    console = Console(stderr=True)
    starts = track(range(0, num, size), "sampling", console=console, disable=not console.is_terminal)
    for start in starts:
        indices = range(start, min(start + size, num))
        shape, cond = _start(denoiser, recordings, indices, device)
        with autocast:
            yield sample(
                denoiser,
                shape,
                sampler=sampler,
                steps=config["steps"],
                labels=None if labels is None else labels[start : start + size],
                guidance=config["guidance"],
                generator=seeded([config["seed"] + i for i in indices]),
                **cond,
            )
