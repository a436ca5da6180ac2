"""How a training step grows with pixels, seconds and parameters: time, and the peak of what it allocates, of a small
UNet without attention, one signal at a time. The set's size is in `shards`, the number of ranks in `ranks`.
"""

import math

import torch

from benchmarks.distillation import peak_memory
from benchmarks.input_pipeline import training_step
from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.networks import UNet

RATE = 16_000  # samples a second
PIXELS, SECONDS, WIDTHS = (32, 64, 128, 256, 512), (1, 3, 10, 30), (16, 32, 64, 128)


def grown(title: str, cases: dict, amounts: list[float], rounds: int, figures: Figures) -> Table:
    """Steps of growing size; the figure is the power of the amount of data or weights that time grows with, between
    the last two.
    """
    memory = {name: peak_memory(step) for name, step in cases.items()}
    times = interleave(cases, rounds=rounds)
    names = list(cases)
    power = math.log(times.ratio(names[-1], names[-2])) / math.log(amounts[-1] / amounts[-2])
    figures[f"{title}: power of time"] = (power, None)
    figures[f"{title}: power of memory"] = (
        math.log(memory[names[-1]] / memory[names[-2]]) / math.log(amounts[-1] / amounts[-2]),
        None,
    )
    rows = [[name, f"{1e3 * times.median(name):.0f} ms", f"{memory[name] / 1e6:.0f} MB"] for name in names]
    return Table([title, "a step", "memory"], rows)


def network(dims: int, width: int) -> UNet:
    channels = 3 if dims == 2 else 1
    patch = 1 if dims == 2 else 8
    return UNet(dims, channels, model_channels=width, channel_mult=(1, 2, 2), attention_levels=(), patch_size=patch)


def main(
    rounds: int = 3,
    pixels: tuple[int, ...] = PIXELS,
    seconds: tuple[int, ...] = SECONDS,
    widths: tuple[int, ...] = WIDTHS,
) -> Findings:
    torch.manual_seed(0)
    figures: Figures = {}
    by_pixels = {f"{side}x{side}": training_step(network(2, 16), torch.randn(1, 3, side, side)) for side in pixels}
    by_seconds = {f"{count} s": training_step(network(1, 16), torch.randn(1, 1, RATE * count)) for count in seconds}
    wide = {width: network(2, width) for width in widths}
    weights = [float(sum(parameter.numel() for parameter in made.parameters())) for made in wide.values()]
    by_weights = {
        f"{count / 1e6:.2f}M": training_step(made, torch.randn(1, 3, 32, 32))
        for count, made in zip(weights, wide.values(), strict=True)
    }
    tables = [
        grown("pixels", by_pixels, [float(side**2) for side in pixels], rounds, figures),
        grown("seconds of sound at 16 kHz", by_seconds, [float(count) for count in seconds], rounds, figures),
        grown("parameters, 32x32", by_weights, weights, rounds, figures),
    ]
    return Findings(tables, figures)
