"""A small network misses the rarer of two frequencies: trains the models of the toy, and writes its page and table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from torch import Generator, Tensor

from mmspec.analysis.frequency_bias import MINORITY, SHARES, draw, draw_waves, magnitudes, make_denoiser, train
from mmspec.analysis.two_frequencies import LARGE, SMALL, Outcome, outcome_figures, outcome_table
from mmspec.components import Component
from mmspec.diffusion import AnyObjective, Denoiser
from mmspec.diffusion.processes import DDPM
from mmspec.drawing.figure_page import check_out, write_figure_page
from mmspec.drawing.tables import check_markdown, markdown, write_markdown
from mmspec.errors import InputError
from mmspec.experiment.figures.options import FigureOptions
from mmspec.experiment.objective import (
    DistillationOptions,
    ObjectiveOptions,
    ProcessOptions,
    RegularizerOptions,
)

SIGMA_DATA = 0.5**0.5  # of a cosine
LEAD = "A denoiser of two layers learns cosines of 3 and 5 cycles, one in five of 3. How many of its samples are of 3?"


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

    regularizer: dict[str, RegularizerOptions] = field(default_factory=dict)
    distillation: DistillationOptions | None = None
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
    process: ProcessOptions
    weighting: Component
    tools: dict[str, Tool] | None

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
        write_figure_page(self.out, "Frequency bias", LEAD, figures, [table], notes)
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
        self.process = options.process.with_auto(SIGMA_DATA)
        levels = self.process.noise or self.process.process
        self.sigmas = levels.build(DDPM, "process.noise").sigmas.double()

    def outcomes(self) -> dict[str, Outcome]:
        """Of the large network, the small one, and the small one with each tool."""
        large = self._trained(LARGE, Tool())
        tools = {SMALL: Tool()} | {f"{SMALL} + {name}": tool for name, tool in (self.options.tools or {}).items()}
        models = {LARGE: large} | {name: self._trained(name, tool, large) for name, tool in tools.items()}
        return {name: Outcome(magnitudes(self._samples(denoiser))) for name, denoiser in models.items()}

    def _trained(self, name: str, tool: Tool, teacher: Denoiser | None = None) -> Denoiser:
        hidden, training = self.options.hidden, self.options.training
        size = hidden.large if teacher is None else hidden.small
        denoiser = make_denoiser(self.options.length, size, self.process.build(), self.seed)
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

    def _objective(self, tool: Tool, denoiser: Denoiser, teacher: Denoiser | None) -> AnyObjective:
        weighted = ObjectiveOptions(weighting=tool.weighting or self.options.weighting).with_auto(SIGMA_DATA)
        terms = {name: term.with_auto(f"regularizer.{name}", SIGMA_DATA) for name, term in tool.regularizer.items()}
        objective = weighted.build(denoiser.process, self.process.noise, terms)
        if teacher is None or tool.distillation is None:
            return objective
        return tool.distillation.wrap(objective, teacher, denoiser, example=None)

    def _samples(self, denoiser: Denoiser) -> Tensor:
        return draw(denoiser, self.options.num, self.sigmas, self.seed)


def _shown(steps: int, name: str) -> Iterator[int]:
    """Steps whose progress a terminal shows."""
    console = Console(stderr=True)
    return iter(track(range(steps), name, console=console, disable=not console.is_terminal))
