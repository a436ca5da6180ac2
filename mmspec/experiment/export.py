"""A denoiser as graphs that run without mmspec or without torch, held against torch before they are written."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmspec.components import Component
from mmspec.data import open_dataset
from mmspec.data.media import overview
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.diffusion.conditions import NULL, Context, Labels, hideable
from mmspec.diffusion.samplers import Sampler
from mmspec.errors import InputError
from mmspec.experiment import few_steps
from mmspec.experiment.conditions import text_encoder
from mmspec.experiment.int8 import Calibration, to_int8
from mmspec.experiment.recordings import require_rate
from mmspec.experiment.sources import open_denoiser
from mmspec.exported.graphs import OPSETS, SUFFIX, ExportedPart, examples, parts, reader, text_part, traced, write_graph
from mmspec.exported.model import (
    CONFIG,
    DECODER,
    DENOISER,
    FORMAT,
    WALK,
    ExportedDenoiser,
    ExportedFacts,
    SignalFacts,
    checksum,
    is_exported,
)
from mmspec.exported.noise import BLOCK
from mmspec.exported.recording import recorded
from mmspec.exported.spectrogram import SpectrogramFacts
from mmspec.exported.text import TEXT_ENCODER, TOKENIZER
from mmspec.files import sha256, staged
from mmspec.pretrained.clip import TextEncoder
from mmspec.training.run import Run
from mmspec.typed import write

TOLERANCE = 1e-4  # of graphs, and of samples, whose walk adds up what each call differs by
TOLERANCE_OF_SAMPLES = 1e-3
PICTURE = "samples.png"  # a sample by torch, and by what was exported
LEVELS = 5  # noise levels at which both are compared, a signal each


@dataclass(frozen=True)
class ExportOptions:
    """The options of ``mmspec export``: conf/export.yaml explains each."""

    from_: str
    out: Path
    sampler: Component
    format: Literal["onnx", "torch"] = "onnx"
    precision: Literal["float32", "int8"] = "float32"
    steps: int = 18
    guidance: float | None = None
    opset: int = OPSETS[0]
    data: str | None = None
    text_encoder: str | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps must be 1 or more, not {self.steps}.")
        if not OPSETS[0] <= self.opset <= OPSETS[1]:
            raise InputError(f"opset={self.opset} is too old or too new: torch exports to {OPSETS[0]} to {OPSETS[1]}.")
        if self.precision == "int8" and self.format != "onnx":
            raise InputError("precision=int8 is of format=onnx: leave one of them out.")


def export(options: ExportOptions) -> ExportedFacts:
    """Write the graphs of a denoiser, whole or not at all; returns what the folder says of itself.

    Raises:
        InputError: if the folder holds something else, the denoiser, its sampler or the data cannot be used, a format
            lacks an operator, or a graph puts out something else than torch.
    """
    _refuse_foreign(options.out)
    few_steps.remark(options.from_, options.sampler, options.steps)
    denoiser, _ = open_denoiser(options.from_)
    denoiser = denoiser.float().eval()
    if denoiser.signal_shape is None or np.prod(denoiser.latent_shape or ()) < BLOCK:
        raise InputError(
            f"{options.from_} says no shape of its signals, or one of fewer than {BLOCK} numbers, where torch draws "
            "noise by another rule: it is not exported."
        )
    if options.guidance is not None and not hideable(denoiser.told):  # type: ignore[arg-type]
        raise InputError(
            f"guidance={options.guidance} needs something to follow, this denoiser is told nothing: leave it out."
        )
    sampler = options.sampler.build(Sampler, "sampler")
    clean = _signals(options, denoiser)
    encoder = _text_encoder(options, denoiser)
    calibration = _calibration(options, denoiser) if options.precision == "int8" else None
    with staged(options.out) as folder:
        (folder / WALK).write_text(_lines(recorded(sampler, denoiser, options.steps)))
        parity = {}
        found = parts(denoiser)
        if encoder is not None:
            _write_tokenizer(encoder, folder / TOKENIZER)
            found.append(text_part(encoder.model, encoder.length))
        for part in found:
            file = write_graph(part, traced(part), folder, options.format, options.opset)
            parity[file.name] = _parity(part, file, denoiser, clean)
        facts = _write(_facts(options, denoiser, parity), folder)
        if options.format == "onnx":
            parity["samples"] = _parity_of_samples(denoiser, sampler, options, folder)
        if calibration is not None:
            int8 = to_int8(folder, denoiser, calibration, options.steps, lambda: _write(facts, folder))
            facts = replace(facts, int8=int8)
        return _write(facts, folder)


def _calibration(options: ExportOptions, denoiser: Denoiser) -> Calibration:
    run = Run.at(options.from_)
    folder = options.data or (run.data("test") if run else None)
    if folder is None:
        raise InputError("precision=int8 is calibrated on signals: give data=, a packed data set.")
    return Calibration.of(denoiser, open_dataset(folder), options.text_encoder, options.from_)


def _facts(options: ExportOptions, denoiser: Denoiser, parity: dict[str, float]) -> ExportedFacts:
    return ExportedFacts(
        format=FORMAT,
        mmspec=version("mmspec"),
        graph=options.format,
        opset=options.opset if options.format == "onnx" else None,
        files={},
        signal=SignalFacts(denoiser.signal_shape or (), denoiser.sample_rate, denoiser.classes),
        latent_shape=denoiser.latent_shape or (),
        process=Component.of(denoiser.process),
        sigma_min=denoiser.sigma_min,
        sigma_max=denoiser.sigma_max,
        conditions=denoiser.told,
        sampler=options.sampler,
        steps=options.steps,
        guidance=options.guidance,
        parity=parity,
        conditioner=_conditioner(denoiser),
    )


def _conditioner(denoiser: Denoiser) -> SpectrogramFacts | None:
    return None if denoiser.conditioner is None else SpectrogramFacts(**denoiser.conditioner.config)


def _text_encoder(options: ExportOptions, denoiser: Denoiser) -> TextEncoder | None:
    """What makes texts into embeddings, where it is said which that is."""
    run = Run.at(options.from_)
    if Context.name in denoiser.told and (options.text_encoder or (run and run.config.get("text_encoder"))):
        return text_encoder(denoiser, options.text_encoder, options.from_)
    if options.text_encoder is not None:
        raise InputError(
            f"text_encoder={options.text_encoder}: this denoiser does not look at texts; leave text_encoder out."
        )
    return None


def _write_tokenizer(encoder: TextEncoder, file: Path) -> None:
    """As the package tokenizers reads it, filled up and cut as the encoder has it done."""
    tokenizer = encoder.tokenizer
    if (words := getattr(tokenizer, "backend_tokenizer", None)) is None:
        raise InputError(
            f"{type(tokenizer).__name__} has no form that the package tokenizers reads: it is not exported."
        )
    words.enable_truncation(encoder.length)
    words.enable_padding(length=encoder.length, pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    words.save(str(file))


def _write(facts: ExportedFacts, folder: Path) -> ExportedFacts:
    """Say in the folder what is there, with checksums."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name not in (CONFIG, PICTURE)}
    facts = replace(facts, files=files)
    facts = replace(facts, checksum=checksum(json.loads(json.dumps(write(facts)))))
    text = re.sub(
        r"Infinity(,?)$", r"1e999\1", json.dumps(write(facts), indent=2), flags=re.MULTILINE
    )  # as JSON has it
    (folder / CONFIG).write_text(text + "\n")
    return facts


def _lines(instructions: list[Any]) -> str:
    return "[\n" + ",\n".join(map(json.dumps, instructions)) + "\n]\n"


def _refuse_foreign(out: Path) -> None:
    if out.is_file() or (out.exists() and any(out.iterdir()) and not is_exported(out)):
        raise InputError(f"{out} holds something that `mmspec export` did not make: give another out=FOLDER.")
    if out.exists():
        graphs = {f"{name}{suffix}" for name in (DENOISER, DECODER, TEXT_ENCODER) for suffix in SUFFIX.values()}
        own = {CONFIG, PICTURE, WALK, TOKENIZER, *graphs}
        if foreign := sorted({path.name for path in out.iterdir()} - own):
            raise InputError(f"{out} holds {foreign[0]}, which `mmspec export` did not put there: move it away.")


def _signals(options: ExportOptions, denoiser: Denoiser) -> list[Tensor]:
    """Clean signals as the network sees them, ``[LEVELS, *latent_shape]`` each: noise, and real ones if there are."""
    noise = torch.randn(LEVELS, *(denoiser.latent_shape or ()), generator=torch.Generator().manual_seed(0))
    run = Run.at(options.from_)
    folder = options.data or (run.data("test") if run else None)
    if folder is None:
        return [noise]
    dataset = open_dataset(folder)
    require_rate(dataset, denoiser)
    if dataset.meta.shape != denoiser.signal_shape:
        if options.data is None:
            return [noise]  # recordings of any length
        raise InputError(
            f"data={folder} holds signals {list(dataset.meta.shape)}, the denoiser is for "
            f"{list(denoiser.signal_shape or ())}: prepare the data for it."
        )
    with torch.no_grad():
        return [noise, denoiser.latent.encode(dataset.batch(np.arange(LEVELS) % len(dataset))[0])]


def _parity(part: ExportedPart, file: Path, denoiser: Denoiser, clean: list[Tensor]) -> float:
    """The largest difference of a graph from torch.

    Raises:
        InputError: if it is above `TOLERANCE`.
    """
    graph, worst = reader(file), 0.0
    for inputs in _inputs(part, denoiser, clean):
        with torch.no_grad():
            ours, theirs = part.module(inputs), graph(inputs)
        worst = max(worst, _difference(ours, theirs))
    return _held(worst, TOLERANCE, file.name)


def _inputs(part: ExportedPart, denoiser: Denoiser, clean: list[Tensor]) -> Iterator[dict[str, Tensor]]:
    """Of another number of samples than the graph was made with, so that one that knows only its own is found out."""
    sigma = denoiser.round_sigma(torch.logspace(np.log10(denoiser.sigma_min), np.log10(denoiser.sigma_max), LEVELS))
    generator = torch.Generator().manual_seed(1)
    for x0 in clean:
        if part.name == DECODER:
            yield {"z": x0}
            continue
        if part.name == TEXT_ENCODER:
            yield {name: value[:1].repeat_interleave(LEVELS, 0) for name, value in part.inputs.items()}
            continue
        noise = torch.randn(x0.shape, generator=generator) * sigma.reshape(-1, *[1] * (x0.ndim - 1))
        _, _, told = examples(denoiser, x0.shape[1:])
        told = {name: value[:1].repeat_interleave(LEVELS, 0) for name, value in told.items()}
        yield {**told, "x": x0 + noise, "sigma": sigma}


def _difference(ours: Tensor, theirs: Tensor) -> float:
    largest = ours.abs().flatten(1).amax(1).clamp_min(1)
    return float(((ours - theirs).abs().flatten(1).amax(1) / largest).max())


def _held(difference: float, tolerance: float, what: str) -> float:
    if not difference <= tolerance:  # nor NaN
        raise InputError(
            f"{what} differs from torch by {difference:.1e} where {tolerance:g} is allowed: it is not written; sample "
            "from the run itself."
        )
    return difference


def _parity_of_samples(denoiser: Denoiser, sampler: Any, options: ExportOptions, folder: Path) -> float:
    """The largest difference of a sample; both are drawn in `PICTURE`, torch's first."""
    _, _, told = examples(denoiser, denoiser.latent_shape or ())
    told = {name: value[:1] for name, value in told.items()}
    if width := denoiser.told.get(Labels.name):
        told[Labels.name] = torch.eye(width)[:1]
    nothing = {name: torch.zeros_like(value) for name, value in told.items() if name == Context.name}
    shape = (1, *(denoiser.signal_shape or ()))
    ours = sample(
        denoiser,
        shape,
        sampler=sampler,
        steps=options.steps,
        guidance=options.guidance,
        generator=seeded([0]),
        **told,  # type: ignore[arg-type]
        **{NULL + name: value for name, value in nothing.items()},  # type: ignore[arg-type]
    )
    theirs = ExportedDenoiser(folder).sample([0], {name: value.numpy() for name, value in told.items()})
    both = torch.cat([ours, torch.from_numpy(theirs)])
    difference = _held(_difference(both[:1], both[1:]), TOLERANCE_OF_SAMPLES, "a sample")
    overview(both.clamp(-1, 1), denoiser.sample_rate).save(folder / PICTURE)
    return difference
