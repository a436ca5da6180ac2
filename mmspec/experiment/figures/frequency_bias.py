"""A small network misses the rarer of two frequencies: trains the models of the toy, and writes its page and table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import track
from torch import Generator, Tensor

from mmspec import typed
from mmspec.analysis.frequency_bias import MINORITY, SHARES, draw, draw_waves, magnitudes, make_denoiser, train
from mmspec.analysis.two_frequencies import LARGE, SMALL, Outcome, outcome_figures, outcome_table
from mmspec.commands.assemble import make_objective, with_teacher
from mmspec.commands.auto import fill_auto
from mmspec.components import Component, build, construct
from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.preconditioning import PRECONDITIONINGS
from mmspec.diffusion.schedules import ddpm_sigmas
from mmspec.drawing.figure_page import check_out, write_figure_page
from mmspec.drawing.tables import check_markdown, markdown, write_markdown
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions

SIGMA_DATA = 0.5**0.5  # of a cosine
LEAD = "A denoiser of two layers learns cosines of 3 and 5 cycles, one in five of 3. How many of its samples are of 3?"


@dataclass(frozen=True)
class ToyProcess:
    """The noise levels and loss of all models."""

    preconditioning: Component
    noise: Component
    weighting: Component


@dataclass(frozen=True)
class ToySizes:
    """Hidden units of the two networks."""

    large: int
    small: int


@dataclass(frozen=True)
class ToyTraining:
    """Adam, its rate falling linearly to 0."""

    steps: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Tool:
    """What helps a small network: regularizers, distillation, another weighting of the loss; nothing by default."""

    regularizer: dict[str, Any] = field(default_factory=dict)
    distillation: dict[str, Any] | None = None
    weighting: Component | None = None


@dataclass(frozen=True, kw_only=True)
class FrequencyBias(FigureOptions):
    """The keys of conf/figure/frequency_bias.yaml, which says what they mean.

    Raises:
        InputError: if there is no seed, or the page is to be a picture.
    """

    out: Path
    seeds: tuple[int, ...]
    num: int
    hidden: ToySizes
    length: int
    training: ToyTraining
    process: ToyProcess
    tools: dict[str, Tool] | None

    @classmethod
    def read(cls, config: dict[str, object]) -> Self:
        """As `FigureOptions.read`; ``auto`` is what follows from the signals."""
        return typed.read(cls, fill_auto(config, SIGMA_DATA))

    def __post_init__(self) -> None:
        if self.out.suffix != ".html" or not self.seeds:
            raise InputError(f"out must end with .html and seeds name one or more, not {self.out} and {self.seeds}.")

    def draw(self) -> Path:
        """Train, sample, and write a page and a table."""
        check_out(self.out)
        check_markdown(self.out.with_suffix(".md"))
        real = {seed: Outcome(magnitudes(self._real(seed))) for seed in self.seeds}
        made = {seed: ToyModels(self, seed).outcomes() for seed in self.seeds}
        outcomes = {name: [of_seed[name] for of_seed in made.values()] for name in made[self.seeds[0]]}
        table = outcome_table(self.seeds, {"real": list(real.values()), **outcomes})
        figures, notes = outcome_figures(real[self.seeds[0]], outcomes), self._notes()
        write_figure_page(self.out, "Frequency bias", LEAD, figures, table, notes)
        write_markdown(self.out.with_suffix(".md"), markdown(table, notes))
        return self.out

    def _real(self, seed: int) -> Tensor:
        return draw_waves(self.num, self.length, Generator().manual_seed(seed))

    def _notes(self) -> list[str]:
        return [
            f"A sample is of {MINORITY} cycles if its strongest frequency is; {self.num} samples a seed, among real "
            f"signals {SHARES[0]}. Magnitudes are means over samples and seeds, 1 for a cosine of amplitude 1.",
            f"Two layers, {self.hidden.large} (large) or {self.hidden.small} (small and all below) hidden units; "
            f"signals of {self.length} samples; {self.training.steps} steps of {self.training.batch_size}, Adam with "
            f"learning rate {self.training.learning_rate:g} falling linearly to 0; DDPM's noise levels and ancestral "
            "sampler over all of them.",
        ]


class ToyModels:
    """The models of one seed, trained in turn."""

    def __init__(self, options: FrequencyBias, seed: int) -> None:
        self.options, self.seed = options, seed
        process = options.process
        self.sigmas: Tensor = construct(ddpm_sigmas, process.noise.arguments, "process.noise")
        ends = {"sigma_min": float(self.sigmas[0]), "sigma_max": float(self.sigmas[-1])}
        where = "process.preconditioning"
        self.preconditioning = build(process.preconditioning.write(), PRECONDITIONINGS, where, **ends)

    def outcomes(self) -> dict[str, Outcome]:
        """Of the large network, the small one, and the small one with each tool."""
        large = self._trained(LARGE, Tool())
        tools = {SMALL: Tool()} | {f"{SMALL} + {name}": tool for name, tool in (self.options.tools or {}).items()}
        models = {LARGE: large} | {name: self._trained(name, tool, large) for name, tool in tools.items()}
        return {name: Outcome(magnitudes(self._samples(denoiser))) for name, denoiser in models.items()}

    def _trained(self, name: str, tool: Tool, teacher: Denoiser | None = None) -> Denoiser:
        hidden, training = self.options.hidden, self.options.training
        size = hidden.large if teacher is None else hidden.small
        denoiser = make_denoiser(self.options.length, size, self.preconditioning, self.seed)
        objective = self._objective(tool, denoiser, teacher)
        steps = _shown(training.steps, f"seed {self.seed}: {name}")
        train(
            denoiser,
            objective,
            self.seed,
            steps=training.steps,
            batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            on_step=lambda step: next(steps, None),
        )
        next(steps, None)
        return denoiser.eval()

    def _objective(self, tool: Tool, denoiser: Denoiser, teacher: Denoiser | None) -> Objective:
        process = self.options.process
        changed = {"noise": process.noise.write(), "weighting": (tool.weighting or process.weighting).write()}
        objective = make_objective({"process": changed, "objective": {}, "regularizer": tool.regularizer})
        if teacher is None or tool.distillation is None:
            return objective
        cfg = {"distillation": tool.distillation, "data": {"augment": None}}
        return with_teacher(cfg, objective, teacher, denoiser, example=None)

    def _samples(self, denoiser: Denoiser) -> Tensor:
        return draw(denoiser, self.options.num, self.sigmas, self.seed)


def _shown(steps: int, name: str) -> Iterator[int]:
    """Steps whose progress a terminal shows."""
    console = Console(stderr=True)
    return iter(track(range(steps), name, console=console, disable=not console.is_terminal))
