"""From the configuration of ``mmspec diagnose`` to what is wrong with a denoiser's spectra."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmspec.analysis.diagnosis_figures import diagnosis_figures
from mmspec.components import Component
from mmspec.data import open_dataset, write_packed
from mmspec.data.values import encode
from mmspec.devices import find_device
from mmspec.diagnosis.denoising import (
    Bias,
    Energies,
    Signals,
    WienerDenoiser,
    bias_against,
    denoising_bias,
    error_against,
    measure_energies,
)
from mmspec.diagnosis.findings import Axis, Denoising, Finding, SpectrumBias, findings, verdict
from mmspec.diagnosis.levels import drawn_shares, noise_levels
from mmspec.diagnosis.loss import LossShares, loss_shares
from mmspec.diagnosis.prescription import Teaching
from mmspec.diagnosis.round_trip import round_trip_bias
from mmspec.diffusion import Denoiser
from mmspec.diffusion.distillation import require_same_signals
from mmspec.diffusion.noise import NoiseDistribution
from mmspec.drawing.figure_page import write_figure_page
from mmspec.drawing.pages import check_page
from mmspec.drawing.tables import TextTable
from mmspec.errors import InputError
from mmspec.experiment.figures.held_out import held_out
from mmspec.experiment.held_out_signals import HeldOut, held_out_signals
from mmspec.experiment.machine import check_seed
from mmspec.experiment.report_card import octave_as_json
from mmspec.experiment.sample_folder import SampleOptions
from mmspec.experiment.sampling import write_draws
from mmspec.experiment.signal_files import signals_at
from mmspec.experiment.sources import open_denoiser
from mmspec.losses import SigmaWeight
from mmspec.metrics.octaves import SILENCE, Describing, described
from mmspec.metrics.report_card import FEWEST, ReportCard, report_card
from mmspec.metrics.signals import SignalSet
from mmspec.provenance import provenance
from mmspec.spectral import octave_edges
from mmspec.training.run import Run, renewed, run_at

REAL = 1000  # signals that samples are compared with


@dataclass(frozen=True)
class DiagnoseOptions:
    """The keys of conf/diagnose.yaml, where each is described.

    Raises:
        ValueError: if a number is out of range.
    """

    from_: str
    sampler: Component
    teacher: str | None
    data: Path | None
    out: Path | None
    num: int
    levels: int
    samples: int
    steps: int
    batch_size: int
    text_encoder: str | None
    format: Literal["text", "json"]
    seed: int
    device: Literal["auto", "cpu", "cuda"]

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for key, value, least in (
            ("num", self.num, FEWEST),
            ("levels", self.levels, 2),
            ("samples", self.samples or FEWEST, FEWEST),
            ("steps", self.steps, 1),
            ("batch_size", self.batch_size, 1),
        ):
            if value < least:
                zero = ", or 0 for none" if key == "samples" else ""
                raise ValueError(f"{key} must be {least} or more{zero}, not {value}.")
        if self.out is not None and self.out.suffix != ".html":
            raise ValueError(f"out must end with .html, not {self.out.name!r}.")

    @property
    def page(self) -> Path:
        """Where the page goes.

        Raises:
            InputError: if that is not said, and does not follow from a run.
        """
        if self.out is not None:
            return self.out
        return run_at(self.from_, "say with out=FILE.html where the page goes").folder / "diagnosis.html"


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        options: of what, and how.
        denoising: of the denoiser, in the space where it works.
        decoded: of its decoded latents over decoded clean ones; None without a first stage.
        loss: where training looks, and where its loss is.
        first_stage: of its round trip, or None.
        samples: by octave against real signals, or None.
        count: held-out signals.
        teaching: how far the teacher errs beside it, or None.
    """

    options: DiagnoseOptions
    denoising: Denoising
    decoded: tuple[Axis, Bias] | None
    loss: LossShares
    first_stage: SpectrumBias | None
    samples: ReportCard | None
    count: int
    teaching: Teaching | None

    @property
    def findings(self) -> list[Finding]:
        """What is to be mended."""
        drawn = None if self.samples is None else _spectrum(self.samples)
        return findings(self.denoising, self.first_stage, drawn)

    @property
    def verdict(self) -> str:
        """In a sentence."""
        return verdict(self.findings, self.denoising)

    def write(self) -> dict[str, Any]:
        """The object that ``format=json`` prints."""
        measured, card = self.denoising, self.samples
        return {
            "verdict": self.verdict,
            "findings": [
                {**asdict(each), "interval": [each.interval.low, each.interval.high]} for each in self.findings
            ],
            "unit": measured.axis.unit,
            "octaves": measured.axis.edges,
            "sigmas": list(measured.sigmas),
            "bias_db": _rows(measured.bias),
            "over_wiener_db": _rows(measured.over_wiener),
            "energy_share": measured.energy.tolist(),
            "counts_for_findings": measured.counts.tolist(),
            "drawn_share": self.loss.drawn.tolist(),
            "loss_share": self.loss.octaves.tolist(),
            "decoded": self.decoded and {"octaves": self.decoded[0].edges, "bias_db": _rows(self.decoded[1])},
            "first_stage": self.first_stage
            and {"octaves": self.first_stage.axis.edges, "bias_db": _rows(self.first_stage.bias)},
            "teacher": self.teaching and _taught(self.teaching),
            "samples": card and [octave_as_json(octave) for octave in card.octaves],
            "counts": {"held_out": self.count, "samples": card and card.counts[1], "real": card and card.counts[0]},
            "command": provenance()["command"],
        }


def diagnose(options: DiagnoseOptions) -> Diagnosis:
    """Measure a denoiser, its first stage and its samples, and write the page.

    Raises:
        InputError: if there is no denoiser or no fitting held-out data, or the page would replace a file that is none.
    """
    page = options.page
    check_page(page)
    denoiser, _ = open_denoiser(options.from_, find_device(options.device))
    folder = options.data or held_out(Path(options.from_))
    if folder is None:
        raise InputError(f"{options.from_} has no data.test: give data=FOLDER, held-out real signals.")
    channels = (denoiser.signal_shape or (3,))[0]
    with ExitStack() as stack:
        dataset = stack.enter_context(signals_at(folder, channels, sound=denoiser.sample_rate is not None))
        found = _diagnosed(options, held_out_signals(dataset, denoiser, options.from_))
    _write_page(page, found)
    return found


def _diagnosed(options: DiagnoseOptions, data: HeldOut) -> Diagnosis:
    denoiser = data.denoiser
    conditions = data.conditions(options.text_encoder, options.from_)
    with torch.random.fork_rng(devices=[]):  # latents are drawn where a first stage knows a distribution of them
        torch.manual_seed(options.seed)
        signals = list(data.batches(options.num, options.batch_size, conditions))
    noise, weight = _training(Run.around(Path(options.from_)), denoiser)
    sigmas = noise_levels(denoiser.process, noise, options.levels, options.seed)
    denoising, energies = _denoising(options, data, signals, sigmas)
    decoded = _decoded(options, data, signals, sigmas) if denoiser.first_stage is not None else None
    weights = weight(sigmas), drawn_shares(noise, sigmas, options.seed)
    teaching = None
    if options.teacher is not None:
        theirs = _measured(_teacher(options.teacher, denoiser), options, signals, sigmas, denoising.axis)
        teaching = Teaching(denoising.axis, error_against(theirs, energies, weights[0] * weights[1], options.seed))
    return Diagnosis(
        options=options,
        denoising=denoising,
        decoded=decoded,
        loss=loss_shares(energies, *weights),
        first_stage=_first_stage(options, data) if denoiser.first_stage is not None else None,
        samples=_samples(options, data) if options.samples else None,
        count=len(energies[0].clean),
        teaching=teaching,
    )


def _taught(teaching: Teaching) -> dict[str, Any]:
    knows_more = teaching.from_highest(teaching.octaves)
    return {"octaves": teaching.axis.edges, "error_db": _rows(teaching.error), "distillation.octaves": knows_more}


def _training(run: Run | None, denoiser: Denoiser) -> tuple[NoiseDistribution, Any]:
    """What draws a run's noise levels, and what weighs their errors; of a denoiser alone, its process."""
    config = {} if run is None else renewed(run.config, run.config_file)
    noise = (config.get("process") or {}).get("noise")
    weighting = (config.get("objective") or {}).get("weighting")
    draws: NoiseDistribution = denoiser.process
    if noise is not None:
        draws = Component.read(noise, "process.noise").build(NoiseDistribution, "process.noise")
    if weighting is None:
        return draws, denoiser.process.weight
    return draws, Component.read(weighting, "objective.weighting").build(SigmaWeight, "objective.weighting")


def _denoising(
    options: DiagnoseOptions, data: HeldOut, signals: Signals, sigmas: Tensor
) -> tuple[Denoising, list[Energies]]:
    """In the space where the denoiser works: of signals, the octaves by which sets are compared."""
    latent = data.denoiser.first_stage is not None
    axis = _latent_axis(data.denoiser) if latent else _signal_axis(data)
    ours = _measured(data.denoiser, options, signals, sigmas, axis)
    theirs = _measured(WienerDenoiser(signals), options, signals, sigmas, axis)
    stronger = [torch.maximum(*pair) for pair in zip(map(_share, ours), map(_share, theirs), strict=True)]
    bias, over = denoising_bias(ours, options.seed), bias_against(ours, theirs, options.seed)
    return Denoising(axis, sigmas.tolist(), bias, over, torch.stack(stronger)), ours


def _measured(
    denoiser: Callable[..., Tensor], options: DiagnoseOptions, signals: Signals, sigmas: Tensor, axis: Axis
) -> list[Energies]:
    console, octaves = Console(stderr=True), len(axis.edges) - 1
    shown = track(sigmas.tolist(), "denoising", console=console, disable=not console.is_terminal)
    return [measure_energies(denoiser, signals, sigma, options.seed, octaves=octaves) for sigma in shown]


def _teacher(source: str, student: Denoiser) -> Denoiser:
    teacher, _ = open_denoiser(source, str(next(student.parameters()).device))
    require_same_signals(teacher, student)
    return teacher


def _share(level: Energies) -> Tensor:
    """Energy of what was denoised over that of the clean signals, ``[octaves]``; 0 where these are silent."""
    clean = level.clean.mean(0)
    return torch.where(clean > SILENCE, level.denoised.mean(0) / clean.clamp(min=SILENCE), 0)


def _latent_axis(denoiser: Denoiser) -> Axis:
    return Axis(octave_edges((denoiser.latent_shape or ())[1:]), "cycles per latent")


def _signal_axis(data: HeldOut) -> Axis:
    octaves = Describing(data.set_of(FEWEST)).octaves
    return Axis(octaves.edges, _words(octaves.unit))


def _decoded(options: DiagnoseOptions, data: HeldOut, signals: Signals, sigmas: Tensor) -> tuple[Axis, Bias]:
    """Decoded predictions beside decoded clean latents, so that what the first stage loses is on both sides."""
    axis = _signal_axis(data)
    measured = partial(measure_energies, data.denoiser, signals, seed=options.seed, octaves=len(axis.edges) - 1)
    levels = [measured(sigma, view=data.denoiser.decode) for sigma in sigmas.tolist()]
    return axis, denoising_bias(levels, options.seed)


def _first_stage(options: DiagnoseOptions, data: HeldOut) -> SpectrumBias:
    """What a round trip makes of held-out signals, as files hold it."""
    real, device = data.set_of(options.num), next(data.denoiser.parameters()).device
    generator, decoded = torch.Generator(device).manual_seed(options.seed), []
    first_stage = data.denoiser.latent.first_stage
    assert first_stage is not None
    with torch.no_grad():
        for x in real:
            decoded.append(encode(data.denoiser.decode(first_stage.encode(x.to(device), generator))))
    with tempfile.TemporaryDirectory(prefix="mmspec-") as scratch:
        meta = replace(data.dataset.meta, classes=None)
        write_packed(Path(scratch) / "decoded", np.concatenate(decoded), meta=meta)
        theirs = SignalSet(open_dataset(Path(scratch) / "decoded")).statistic(described)
    bias = round_trip_bias(real.statistic(described), theirs, options.seed)
    axis = Axis(theirs.octaves.edges, _words(theirs.octaves.unit))
    return SpectrumBias(axis, bias, (bias.low > 0) | (bias.high < 0))


def _samples(options: DiagnoseOptions, data: HeldOut) -> ReportCard:
    """Samples drawn as ``mmspec sample`` draws them, beside real signals."""
    vocoder = data.denoiser.conditioner is not None
    num = min(options.samples, len(data.dataset)) if vocoder else options.samples
    with tempfile.TemporaryDirectory(prefix="mmspec-") as scratch:
        drawing = SampleOptions(
            from_=options.from_,
            sampler=options.sampler,
            out=Path(scratch) / "samples",
            num=num,
            steps=options.steps,
            captions=str(data.dataset.folder) if "context" in data.denoiser.told else None,
            text_encoder=options.text_encoder,
            recordings=str(data.dataset.folder) if vocoder else None,
            seed=options.seed,
            batch_size=options.batch_size,
            device=options.device,
        )
        write_draws(drawing)
        drawn = SignalSet(open_dataset(Path(scratch) / "samples"), batch_size=1 if vocoder else 64)
        ours = drawn.statistic(described)
    return report_card(data.set_of(REAL).statistic(described), ours, options.seed)


def _spectrum(card: ReportCard) -> SpectrumBias:
    """Samples beside real signals; differs is what the card says of energies, at 5% over all octaves together."""
    axis = Axis([*(each.low for each in card.octaves), card.octaves[-1].high], _words(card.octaves[0].unit))
    columns = [[each.bias_db, each.interval.low, each.interval.high] for each in card.octaves]
    bias = Bias(*torch.tensor(columns, dtype=torch.float64).T)
    return SpectrumBias(axis, bias, torch.tensor([each.bias_differs for each in card.octaves]))


def _words(unit: str) -> str:
    return unit.replace("/", " per ")


def _rows(bias: Bias) -> dict[str, Any]:
    """A bias and the ends of its intervals, as lists."""
    return {name: part.tolist() for name, part in bias._asdict().items()}


def _write_page(page: Path, found: Diagnosis) -> None:
    card = None if found.samples is None else found.samples
    figures = diagnosis_figures(found.denoising, found.decoded, found.loss, found.first_stage, card)
    rows = [[each.kind, each.sentence] for each in found.findings]
    tables = [TextTable("Findings", ["what", "in words"], rows)] if rows else []
    drawn = "" if card is None else f", {card.counts[1]} samples beside {card.counts[0]:,} real signals"
    notes = [
        f"Of {found.count} held-out signals{drawn}. Intervals hold at 95% for all octaves and noise levels together."
    ]
    write_figure_page(page, f"Diagnosis of {Path(found.options.from_).name}", found.verdict, figures, tables, notes)
