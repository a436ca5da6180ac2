"""The tables of whatever results there are, with intervals: ``results.md``."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_prep.preparation import run
from mmspec.documents import read_json
from mmspec.drawing.tables import TextTable, markdown
from mmspec.errors import InputError
from mmspec.files import replace_text
from mmspec.metrics.statistics import bootstrap_means, half_differences, paired_difference, widened_interval
from recipes.first_stage.finetune import ARMS

TITLE = "# Measured by recipes/first_stage\n"
TAIL = torch.tensor([0.025, 0.975], dtype=torch.float64)
NAMES = {
    "untreated": "untreated",
    "l1": "L1",
    "placebo": "L1 + placebo",
    "amplitude_phase": "L1 + amplitude and phase",
    "haar": "L1 + Haar",
}
BASE, SHOWN_LEVEL = "l1", 0.1


def main(arguments: list[str] | None = None) -> int:
    """Write the tables of a folder of results; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.first_stage.tables", description=__doc__)
    parser.add_argument("results", type=Path)
    options = parser.parse_args(arguments)
    return run(lambda: _write(options.results))


def _write(folder: Path) -> str:
    out = folder / "results.md"
    if out.is_file() and not out.read_text(encoding="utf-8").startswith(TITLE):
        raise InputError(f"{out} is something else than these tables: move it away.")
    tables = [*_transfer(folder / "transfer.json"), *_round_trip(folder / "untreated.json"), *_finetuned(folder)]
    if not tables:
        raise InputError(f"{folder} holds no results: run the stages 2 and 3 first.")
    replace_text(out, "\n".join([TITLE, *(f"#{markdown(table)}".rstrip("\n") + "\n" for table in tables)]))
    return f"{out}: {len(tables)} tables"


def _transfer(file: Path) -> Iterator[TextTable]:
    if not file.is_file():
        return
    found = read_json(file)
    levels = found["settings"]["levels"]
    shown = levels.index(min(levels, key=lambda level: abs(level - SHOWN_LEVEL)))
    decoder, encoder = (torch.tensor(found[name], dtype=torch.float64) for name in ("decoder", "encoder"))
    latents, picture = decoder.shape[2:]
    latent_names, names = octave_names(latents, picture - latents), octave_names(picture)
    noise = f"{len(decoder)} pictures, noise of {levels[shown]:g} standard deviations"
    yield _shares(
        f"From an octave of the latents to those of the picture (%), {noise}", latent_names, names, decoder[:, shown]
    )
    rows = [f"{level:g} standard deviations" for level in levels]
    yield _shares(
        "From the highest octave of the latents, by the level of the noise (%)", rows, names, decoder[:, :, -1]
    )
    yield _shares(
        f"From an octave of the picture to those of the latents (%), {noise}", names, latent_names, encoder[:, shown]
    )


def _shares(title: str, rows: list[str], columns: list[str], energies: Tensor) -> TextTable:
    """Of energies ``[pictures, rows, columns]``: where a row's goes, and all of it over that of the noise."""
    cells = _with_intervals(energies, lambda means: 100 * means / means.sum(-1, keepdim=True), "{:.0f}")
    gains = energies.mean(0).sum(1).tolist()
    lines = [[row, *line, f"{gain:.3g}"] for row, line, gain in zip(rows, cells, gains, strict=True)]
    return TextTable(title, ["noise in", *columns, "all / noise"], lines)


def octave_names(count: int, coarser: int = 0) -> list[str]:
    """In cycles per pixel of the picture, the lowest first.

    Args:
        count: of octaves.
        coarser: how many times by two what they are of is smaller than the picture.
    """
    ends = [2 ** (1 + coarser + below) for below in reversed(range(count))]
    return [f"to 1/{ends[0]}", *(f"1/{2 * end} to 1/{end}" for end in ends[1:])]


def _with_intervals(values: Tensor, shown: Callable[[Tensor], Tensor], form: str) -> list[list[str]]:
    """Of means over pictures ``[N, rows, columns]``, and of what they would be over other pictures."""
    found = shown(values.mean(0))
    low, high = widened_interval(shown(bootstrap_means(values)), found, len(values))
    cells = torch.stack([found, low, high], -1)
    return [[_cell(form, *cell) for cell in row] for row in cells.tolist()]


def _cell(form: str, value: float, low: float, high: float) -> str:
    return f"{form.format(value)} [{form.format(low)}, {form.format(high)}]"


def _round_trip(file: Path) -> Iterator[TextTable]:
    if not file.is_file():
        return
    found = read_json(file)
    bias = torch.tensor(found["after"]["0"]["bias"], dtype=torch.float64)
    real = torch.tensor(found["real"], dtype=torch.float64)
    null = half_differences(real, lambda first, second: first - second).quantile(TAIL, 0)
    (cells,) = _with_intervals(bias[:, None], lambda means: means, "{:+.2f}")
    yield TextTable(
        f"What the untreated decoder gives back, over the picture, by octave (dB), {len(bias)} pictures",
        ["", *octave_names(bias.shape[1])],
        [
            ["bias, each picture against itself", *cells],
            [
                "two halves of the pictures, 95%",
                *(f"{low:+.2f} to {high:+.2f}" for low, high in null.T.tolist()),
            ],
        ],
    )


def _finetuned(folder: Path) -> Iterator[TextTable]:
    arms = {arm: _seeds(folder, arm) for arm in ARMS}
    untreated = folder / "untreated.json"
    if not untreated.is_file() or not any(arms.values()):
        return
    start = read_json(untreated)["after"]["0"]
    for step in next(iter(found for found in arms.values() if found))[0]["settings"]["steps"]:
        after = {arm: {seed: run["after"][str(step)] for seed, run in found.items()} for arm, found in arms.items()}
        names = octave_names(len(start["bias"][0]))
        yield TextTable(
            f"After {step} steps: PSNR, log-spectral distance and bias by octave (dB), means over pictures and seeds",
            ["decoder", "seeds", "PSNR", "LSD", *names],
            [_means("untreated", {0: start}), *(_means(arm, found) for arm, found in after.items() if found)],
        )
        yield from _differences(step, {"untreated": dict.fromkeys(after[BASE], start), **after}, names)


def _seeds(folder: Path, arm: str) -> dict[int, dict[str, Any]]:
    found = (read_json(file) for file in sorted(folder.glob(f"{arm}-*.json")))
    return {result["seed"]: result for result in found}


def _means(arm: str, seeds: Mapping[int, Any]) -> list[str]:
    values = _measured(seeds).mean((0, 1)).tolist()
    psnr, distance, *bias = values
    count = "" if arm == "untreated" else str(len(seeds))
    return [NAMES[arm], count, f"{psnr:.2f}", f"{distance:.2f}", *(f"{value:+.2f}" for value in bias)]


def _measured(seeds: Mapping[int, Any]) -> Tensor:
    """``[seeds, pictures, measures]``: PSNR, log-spectral distance, bias of each octave."""
    rows = [
        torch.cat(
            [
                torch.tensor([found["psnr"], found["log_spectral_distance"]], dtype=torch.float64).T,
                torch.tensor(found["bias"], dtype=torch.float64),
            ],
            1,
        )
        for found in seeds.values()
    ]
    return torch.stack(rows)


def _differences(step: int, after: Mapping[str, Mapping[int, Any]], names: list[str]) -> Iterator[TextTable]:
    """Each arm minus L1 alone, where two seeds or more have both."""
    rows = []
    for arm, found in after.items():
        both = sorted(set(found) & set(after[BASE]))
        if arm == BASE or len(both) < 2:
            continue
        ours, base = (_measured({seed: of[seed] for seed in both}) for of in (found, after[BASE]))
        effects = [paired_difference(difference) for difference in (ours - base).unbind(-1)]
        shown = [_cell("{:+.2f}", each.mean, each.interval.low, each.interval.high) for each in effects]
        rows += [[NAMES[arm], str(len(both)), *shown]]
        if arm != "untreated":
            rows += [["could have been seen", "", *(f"{each.detectable:.2f}" for each in effects)]]
    if rows:
        title = f"After {step} steps: paired differences to L1 alone (dB), 95%, and what could have been seen"
        yield TextTable(title, ["minus L1 alone", "seeds", "PSNR", "LSD", *names], rows)


if __name__ == "__main__":
    sys.exit(main())
