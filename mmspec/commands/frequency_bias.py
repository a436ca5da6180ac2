"""``mmspec analyze frequency_bias``: trains the models of the toy, and writes its page and its table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Generator, Tensor

from mmspec.analysis import figures
from mmspec.analysis.frequency_bias import (
    FREQUENCIES,
    MINORITY,
    SHARES,
    draw,
    draw_waves,
    magnitudes,
    make_denoiser,
    share_of,
    stray,
    train,
)
from mmspec.analysis.output import Plate, TextTable, write_markdown, write_page
from mmspec.commands.assemble import make_objective, with_teacher
from mmspec.commands.auto import fill_auto
from mmspec.components import build, construct
from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.preconditioning import PRECONDITIONINGS
from mmspec.diffusion.schedules import ddpm_sigmas
from mmspec.errors import InputError

SIGMA_DATA = 0.5**0.5  # of a cosine
LARGE, SMALL = "large", "small"


@dataclass(frozen=True)
class Outcome:
    """What a model's samples hold: ``magnitude``, ``[num, frequencies]``."""

    magnitude: Tensor

    @property
    def minority(self) -> float:
        """Share of samples of the rarer frequency."""
        return share_of(MINORITY, self.magnitude)


def run(config: Mapping[str, Any]) -> Path:
    """Train, sample and write what conf/figure/frequency_bias.yaml describes; returns the page.

    Raises:
        InputError: for options that a part does not take.
    """
    config, out = fill_auto(dict(config), SIGMA_DATA), Path(config["out"])
    if out.suffix != ".html" or not config["seeds"]:
        raise InputError(f"out must end with .html and seeds name one or more, not {out} and {config['seeds']}.")
    real = {seed: Outcome(magnitudes(_real(config, seed))) for seed in config["seeds"]}
    made = {seed: Toy(config, seed).outcomes() for seed in config["seeds"]}
    outcomes = {name: [of_seed[name] for of_seed in made.values()] for name in made[config["seeds"][0]]}
    table = _table(config["seeds"], {"real": list(real.values()), **outcomes})
    notes = _notes(config)
    lead = (
        "A denoiser of two layers learns cosines of 3 and 5 cycles, one in five of 3. How many of its samples are of 3?"
    )
    write_page(out, "Frequency bias", lead, _plates(real[config["seeds"][0]], outcomes), table, notes)
    write_markdown(out.with_suffix(".md"), table, notes)
    return out


class Toy:
    """The models of one seed, trained in turn."""

    def __init__(self, config: Mapping[str, Any], seed: int) -> None:
        self.config, self.seed = config, seed
        process = config["process"]
        table = {key: value for key, value in process["noise"].items() if key != "type"}
        self.sigmas: Tensor = construct(ddpm_sigmas, table, "process.noise")
        ends = {"sigma_min": float(self.sigmas[0]), "sigma_max": float(self.sigmas[-1])}
        self.preconditioning = build(process["preconditioning"], PRECONDITIONINGS, "process.preconditioning", **ends)

    def outcomes(self) -> dict[str, Outcome]:
        """Of the large network, the small one, and the small one with each tool."""
        large = self._trained(LARGE, {})
        tools = {SMALL: {}} | {f"{SMALL} + {name}": tool for name, tool in (self.config["tools"] or {}).items()}
        models = {LARGE: large} | {name: self._trained(name, tool, large) for name, tool in tools.items()}
        return {name: Outcome(magnitudes(self._samples(denoiser))) for name, denoiser in models.items()}

    def _trained(self, name: str, tool: Mapping[str, Any], teacher: Denoiser | None = None) -> Denoiser:
        hidden = self.config["hidden"][LARGE if teacher is None else SMALL]
        denoiser = make_denoiser(self.config["length"], hidden, self.preconditioning, self.seed)
        console = Console(stderr=True)
        steps = iter(
            track(
                range(self.config["training"]["steps"]),
                f"seed {self.seed}: {name}",
                console=console,
                disable=not console.is_terminal,
            )
        )
        objective = self._objective(tool, denoiser, teacher)
        train(denoiser, objective, self.seed, **self.config["training"], on_step=lambda step: next(steps, None))
        next(steps, None)
        return denoiser.eval()

    def _objective(self, tool: Mapping[str, Any], denoiser: Denoiser, teacher: Denoiser | None) -> Objective:
        process = self.config["process"]
        changed = {**process, "weighting": tool.get("weighting", process["weighting"])}
        objective = make_objective({"process": changed, "objective": {}, "regularizer": tool.get("regularizer", {})})
        if teacher is None or "distillation" not in tool:
            return objective
        cfg = {"distillation": tool["distillation"], "data": {"augment": None}}
        return with_teacher(cfg, objective, teacher, denoiser, example=None)

    def _samples(self, denoiser: Denoiser) -> Tensor:
        return draw(denoiser, self.config["num"], self.sigmas, self.seed)


def _real(config: Mapping[str, Any], seed: int) -> Tensor:
    return draw_waves(config["num"], config["length"], Generator().manual_seed(seed))


def _plates(real: Outcome, outcomes: Mapping[str, Sequence[Outcome]]) -> list[Plate]:
    first = {"real": real.magnitude, **{name: outcomes[name][0].magnitude for name in (LARGE, SMALL)}}
    means = {"real": real.magnitude.mean(0)} | {
        name: torch.stack([outcome.magnitude.mean(0) for outcome in outcomes[name]]).mean(0) for name in (LARGE, SMALL)
    }
    legend = [(0, "real"), (1, "large network"), (2, "small network")]
    return [
        Plate(
            "Samples by their spectra",
            figures.magnitude_maps({name: values.numpy() for name, values in first.items()}),
            "DFT magnitude of each sample of the first seed, 0 to 1; a cosine of amplitude 1 has 1.",
            legend,
        ),
        Plate(
            "Mean spectra",
            figures.mean_magnitudes({name: values.numpy() for name, values in means.items()}),
            "Mean DFT magnitude of the samples; of models over all seeds.",
            legend,
        ),
        Plate(
            "Who finds the rarer frequency",
            figures.shares(
                {name: [outcome.minority for outcome in of_model] for name, of_model in outcomes.items()},
                SHARES[0],
                f"share of samples of {MINORITY} cycles",
            ),
            "A dot a seed, a bar at their mean; the line is the share among real signals.",
            [(0, "real"), (1, "one seed")],
        ),
    ]


def _table(seeds: Sequence[int], outcomes: Mapping[str, Sequence[Outcome]]) -> TextTable:
    rows = []
    for name, of_model in outcomes.items():
        minority = [outcome.minority for outcome in of_model]
        spread = f" ± {statistics.stdev(minority):.3f}" if len(minority) > 1 else ""
        at = [statistics.fmean(outcome.magnitude[:, a].mean().item() for outcome in of_model) for a in FREQUENCIES]
        rest = statistics.fmean(stray(outcome.magnitude) for outcome in of_model)
        shown = [*(f"{share:.3f}" for share in minority), f"{statistics.fmean(minority):.3f}{spread}"]
        rows.append([name, *shown, *(f"{value:.3f}" for value in at), f"{rest:.3f}"])
    strengths = [f"magnitude at {a}" for a in FREQUENCIES]
    headings = ["", *(f"seed {seed}" for seed in seeds), "mean", *strengths, "elsewhere"]
    return TextTable(f"Share of samples of {MINORITY} cycles", headings, rows)


def _notes(config: Mapping[str, Any]) -> list[str]:
    training, hidden = config["training"], config["hidden"]
    return [
        f"A sample is of {MINORITY} cycles if its strongest frequency is; {config['num']} samples a seed, among real "
        f"signals {SHARES[0]}. Magnitudes are means over samples and seeds, 1 for a cosine of amplitude 1.",
        f"Two layers, {hidden[LARGE]} (large) or {hidden[SMALL]} (small and all below) hidden units; signals of "
        f"{config['length']} samples; {training['steps']} steps of {training['batch_size']}, Adam with learning rate "
        f"{training['learning_rate']:g} falling linearly to 0; DDPM's noise levels and ancestral sampler over all of "
        f"them.",
    ]
