"""The table of whatever trajectories there are: signed bias by octave over training, with intervals over seeds."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_prep.preparation import run
from mmspec.documents import read_json
from mmspec.drawing.tables import TextTable, markdown
from mmspec.errors import InputError
from mmspec.files import replace_text
from mmspec.metrics.octave_bias import BIAS, ERROR
from mmspec.metrics.statistics import bootstrap_means, paired_difference, widened_interval
from recipes.sharpness.trajectory import NETWORKS

TITLE = "# Measured by recipes/sharpness\n"
Seeds = Mapping[int, Mapping[str, Mapping[str, float]]]


def main(arguments: list[str] | None = None) -> int:
    """Write ``results.md`` of a folder of results; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.sharpness.tables", description=__doc__)
    parser.add_argument("results", type=Path)
    options = parser.parse_args(arguments)
    return run(lambda: _write(options.results))


def _write(folder: Path) -> str:
    out = folder / "results.md"
    if out.is_file() and not out.read_text(encoding="utf-8").startswith(TITLE):
        raise InputError(f"{out} is something else than these tables: move it away.")
    runs: dict[tuple[str, str], dict[int, Any]] = {}
    for file in sorted(folder.glob("*-*-[0-9]*.json")):
        found = read_json(file)
        runs.setdefault((file.name.partition("-")[0], found["network"]), {})[found["seed"]] = found["after"]
    if not runs:
        raise InputError(f"{folder} holds no results: run stage 2 first.")
    tables = [table for data in dict.fromkeys(data for data, _ in runs) for table in _of_data(folder, data, runs)]
    replace_text(out, "\n".join([TITLE, *(f"#{markdown(table)}".rstrip("\n") + "\n" for table in tables)]))
    return f"{out}: {sum(map(len, runs.values()))} runs"


def _of_data(folder: Path, data: str, runs: Mapping[tuple[str, str], Seeds]) -> Iterator[TextTable]:
    networks = {network: runs[data, network] for network in NETWORKS if (data, network) in runs}
    steps = sorted({int(step) for seeds in networks.values() for after in seeds.values() for step in after})
    names = [f"1/{2 ** (count + 1)} to 1/{2**count}" for count in range(_octaves(networks), 0, -1)]
    names[0] = f"to {names[0].partition(' to ')[2]}"
    lines, differences = [], []
    for step in steps:
        found = {network: _measured(seeds, str(step)) for network, seeds in networks.items()}
        lines += [[f"{network}, {step:,}", str(len(of)), *_means(of)] for network, of in found.items() if len(of)]
        differences += _paired(step, networks)
    null = read_json(folder / f"{data}-null.json")["null"]
    lines.append(["two halves of the held-out set, 95%", "", "", *(f"{low:+.2f} to {high:+.2f}" for low, high in null)])
    title = f"{data}: samples over held-out, energy of a typical picture (dB), by octave in cycles per pixel"
    yield TextTable(title, ["network, steps", "seeds", "mean size", *names], lines)
    if differences:
        yield TextTable(
            f"{data}: gates minus convolutions, seed by seed: size of the bias (dB), 95%, and what could be seen",
            ["steps", "seeds", "mean size", *names],
            differences,
        )


def _octaves(networks: Mapping[str, Seeds]) -> int:
    after = next(iter(next(iter(networks.values())).values()))
    return sum(name.startswith(f"{BIAS}_") for name in next(iter(after.values())))


def _measured(seeds: Seeds, step: str) -> Tensor:
    """``[seeds, 1 + octaves]``: the mean size of the bias, and the bias of each octave."""
    rows = [after[step] for after in seeds.values() if step in after]
    names = [ERROR, *(name for name in (rows[0] if rows else ()) if name.startswith(f"{BIAS}_"))]
    return torch.tensor([[row[name] for name in names] for row in rows], dtype=torch.float64)


def _means(values: Tensor) -> list[str]:
    means = values.mean(0)
    if len(values) < 2:
        return [f"{mean:+.2f}" for mean in means.tolist()]
    low, high = widened_interval(bootstrap_means(values), means, len(values))
    cells = zip(means.tolist(), low.tolist(), high.tolist(), strict=True)
    return [f"{mean:+.2f} [{least:+.2f}, {most:+.2f}]" for mean, least, most in cells]


def _paired(step: int, networks: Mapping[str, Seeds]) -> list[list[str]]:
    if len(networks) < 2:
        return []
    plain, gated = (networks[network] for network in NETWORKS)
    both = [seed for seed in plain if seed in gated and str(step) in plain[seed] and str(step) in gated[seed]]
    if len(both) < 2:
        return []
    sizes = [_measured({seed: of[seed] for seed in both}, str(step)).abs() for of in (plain, gated)]
    effects = [paired_difference(each) for each in (sizes[1] - sizes[0]).unbind(1)]
    shown = [f"{each.mean:+.2f} [{each.interval.low:+.2f}, {each.interval.high:+.2f}]" for each in effects]
    seen = [f"{each.detectable:.2f}" for each in effects]
    return [[f"{step:,}", str(len(both)), *shown], ["could have been seen", "", *seen]]


if __name__ == "__main__":
    sys.exit(main())
