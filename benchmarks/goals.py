"""The goals of speed: a question, the figures that answer it, and why a goal is missed where it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from benchmarks.record import Table

UNITS: Mapping[str, Callable[[float], str]] = {
    "x": lambda value: f"{value:.3g}x",
    "%": lambda value: f"{100 * value:.3g}%",
    "s": lambda value: f"{value:.1f} s",
}


@dataclass(frozen=True)
class Goal:
    """A bound on figures, all of which are to keep it.

    Attributes:
        question: which it answers.
        benchmark: whose figures these are.
        figures: their names, as a pattern of `fnmatch`.
        bound: of each.
        unit: of the bound; what is in "x" is to be as large, in other units as small.
        why: it is missed, and what was tried.
    """

    question: str
    benchmark: str
    figures: str
    bound: float
    unit: Literal["x", "%", "s"] = "x"
    why: str = ""

    def values(self, kept: Mapping[str, Mapping[str, Any]]) -> list[float]:
        """The figures that were measured, the worst first."""
        figures = kept.get(self.benchmark, {}).get("figures", {})
        values = [figure["value"] for name, figure in figures.items() if fnmatchcase(name, self.figures)]
        return sorted(values, reverse=self.unit != "x")

    def met(self, values: list[float]) -> bool:
        """Whether the worst keeps the bound."""
        return values[0] >= self.bound if self.unit == "x" else values[0] <= self.bound

    def row(self, kept: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Question, ours, goal, and whether it is met."""
        shown = UNITS[self.unit]
        values = self.values(kept)
        if not values:
            return [self.question, "not measured", shown(self.bound), ""]
        ends = list(dict.fromkeys([shown(values[0]), shown(values[-1])]))
        return [self.question, " to ".join(ends), shown(self.bound), "yes" if self.met(values) else "no"]


GOALS = (
    Goal(
        "`sd_ffhq` exported, float32, against `ldm_ffhq` eager",
        "exported",
        "sd_ffhq exported: ldm_ffhq",
        14,
        why="see the next; `ldm_ffhq`, whose layers are wider, goes as fast as a product of matrices in torch "
        "already.",
    ),
    Goal(
        "the same against itself eager",
        "exported",
        "sd_ffhq exported: itself",
        1.6,
        why="ONNX Runtime does its multiply-accumulates as fast as torch those of two large matrices on this machine, "
        "or faster (last column of the first table), and the goal asks for more. Attention as one operator, which "
        "was made of five, is in it; without flash attention, or with denormals as zeros, it is no faster.",
    ),
    Goal(
        "`sd_ffhq` exported in int8, against itself eager",
        "exported",
        "sd_ffhq int8: itself",
        2.5,
        why="attention, of which ONNX Runtime has no operator of 8 bits, takes most of what is left (second table), "
        "then come rearrangements between the layout of its convolutions and that of the layers between them.",
    ),
    Goal("64x64 picture of a slim pixel student, 10 steps, from the start", "exported", "picture", 2, "s"),
    Goal(
        "`sd_ffhq` in torch as `auto` sets it, against `ldm_ffhq` eager",
        "inference",
        "sd_ffhq auto: ldm_ffhq",
        12,
        why="compiled with frozen weights, its convolutions are still oneDNN's, now without reordering weights at "
        "each call, and they take most of the time; fusing what lies between them gains little. Neither "
        "channels_last nor compiling alone gains more than a few percent.",
    ),
    Goal(
        "bior1.3 and db4, 3 levels, pictures, against pytorch_wavelets",
        "wavelet_loss",
        "pytorch_wavelets: [bd]* pictures*",
        8,
        why="pictures of 32x32 keep it. Those of 64x64 take pytorch_wavelets less than twice as long, mmspec more than "
        "twice: what is saved besides arithmetic are calls of small operators, and their number does not grow.",
    ),
    Goal(
        "the same of sound",
        "wavelet_loss",
        "pytorch_wavelets: [bd]* sound*",
        6,
        why="two dense products transform blocks of 64 samples by all levels and back, as fast as BLAS multiplies, "
        "and take more than half of the time. Blocks of 32 or 48 samples, which overlap more, are no faster; nor "
        "is going level by level, which needs a tenth of the arithmetic and strides through memory six times.",
    ),
    Goal(
        "multi-resolution STFT against auraloss",
        "fourier_loss",
        "stft*",
        2.5,
        why="what is left are the FFTs of the pieces, which auraloss computes too, and one pass each over magnitudes "
        "for square roots, quotients and logarithms. Tried besides: magnitudes by `abs` or `vector_norm`, and a "
        "product with real and imaginary parts each for itself, all slower. The resolutions have no hop in "
        "common, so that they share no pieces.",
    ),
    Goal(
        "an EDM training step, float32, against the same plainly",
        "edm_unet",
        "* training",
        1.1,
        why="a step is convolutions of oneDNN but for a few percent, and on this machine it runs them as fast in one "
        "layout of memory as in the other. What is ours to fuse, attention and the optimizer, is in those few percent.",
    ),
    Goal(
        "the same with bf16",
        "edm_unet",
        "* training bf16",
        2.5,
        why="units of avx512_bf16 multiply twice as many numbers at a time as those of float32, so that a step of "
        "nothing but products would reach 2x; norms, activations and the optimizer stay in float32. Units of amx_bf16 "
        "multiply more.",
    ),
    Goal(
        "each term but STFT, of a plain step",
        "term_cost",
        "*: [!s]*",
        0.001,
        "%",
        why="pictures keep it. What does not is a small network of sound, whose step is a quarter of the others': its "
        "terms are FFTs of 8192 samples and as many square roots, forward and back.",
    ),
    Goal(
        "multi-resolution STFT, of the same",
        "term_cost",
        "*: stft",
        0.005,
        "%",
        why="DiffWave and DDPM++ keep it. Frames overlap eight to ten times at each of three resolutions, so that FFTs "
        "are of 27 times as many numbers as there are samples, forward and back; of a small network's step that is a "
        "larger share.",
    ),
    Goal("`mmspec gallery` of 10,000 samples, from its start to the first page", "gallery", "opened", 2, "s"),
    Goal("lost to the other of two ranks by gloo, 15M parameters", "ranks", "lost", 0.15, "%"),
)  # fmt: skip


def table(kept: Mapping[str, Mapping[str, Any]]) -> Table:
    """All goals beside what was measured."""
    return Table(["question", "ours", "goal", "met"], [goal.row(kept) for goal in GOALS])
