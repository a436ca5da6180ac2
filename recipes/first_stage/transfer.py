"""Which octave of latents carries which octave of pictures: noise in one octave of either, and what becomes of it."""

import argparse
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from data_prep.options import whole_number
from data_prep.preparation import run
from mmspec.analysis.band_transfer import band_transfer
from mmspec.data import PackedDataset
from mmspec.networks import FirstStage
from mmspec.pretrained import load_first_stage
from recipes.common.results import is_done, listed, pictures, write

DIGITS = 5


@dataclass(frozen=True)
class Settings:
    """What a result remembers.

    Attributes:
        first_stage: `FirstStage.sha256`.
        test: SHA-256 of the packed set.
        pictures: of it that are measured.
        levels: of the noise, as shares of the standard deviation of what it is put on.
    """

    first_stage: str
    test: str
    pictures: int
    levels: list[float]


def main(arguments: list[str] | None = None) -> int:
    """Measure both directions; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.first_stage.transfer", description=__doc__)
    for name in ("first-stage", "test", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--pictures", type=whole_number, default=24)
    parser.add_argument("--levels", type=listed(float), default=[0.03, 0.1, 0.3, 1.0])
    options = parser.parse_args(arguments)
    return run(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> str:
    stage, test = load_first_stage(options.first_stage), PackedDataset(options.test).meta.sha256
    settings = asdict(Settings(stage.sha256(), test, options.pictures, options.levels))
    file = options.results / "transfer.json"
    if is_done(file, settings):
        return f"{file}: done before"
    generator = torch.Generator().manual_seed(0)
    found: dict[str, list[torch.Tensor]] = {"decoder": [], "encoder": []}
    for x in torch.split(pictures(options.test, options.pictures), 1):
        with torch.no_grad():
            z = _latents(stage, x)
        for name, function, given in (("decoder", stage.decode, z), ("encoder", partial(_latents, stage), x)):
            levels = [level * given.std().item() for level in options.levels]
            found[name].append(band_transfer(function, given, levels, generator)[0])
    stacked = {name: torch.stack(parts) for name, parts in found.items()}
    write(file, settings, {name: _significant(values) for name, values in stacked.items()})
    return f"{file}: {options.pictures} pictures"


def _latents(stage: FirstStage, x: torch.Tensor) -> torch.Tensor:
    """The same draw each time, where the first stage draws: what differs is the noise in the picture."""
    return stage.encode(x, torch.Generator().manual_seed(0))


def _significant(values: torch.Tensor) -> list[Any]:
    """As JSON has it, with five significant digits: ``[pictures, levels, octaves, octaves]``."""
    scale = 10 ** (DIGITS - 1 - values.abs().clamp_min(1e-30).log10().floor())
    return ((values * scale).round() / scale).tolist()


if __name__ == "__main__":
    sys.exit(main())
