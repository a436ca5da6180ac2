"""A sampler's walk as it is kept beside its samples: what was predicted at each step, packed, and at which sigma."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from mmspec.data.packed import PackedDataset
from mmspec.documents import read_json
from mmspec.errors import InputError

FOLDER, FILE = "walk", "walk.json"  # in a folder of samples, and in that
AGAIN = "sample again with walk=N"


class WalkFile(TypedDict):
    """What ``walk.json`` holds."""

    sigmas: list[float]
    gates: dict[str, list[list[float]]]


class Walk:
    """What was predicted of some samples at each step of a sampler; of sample i at step s, row ``i * steps + s``.

    Args:
        folder: as ``mmspec sample walk=N`` writes it.

    Attributes:
        dataset: the predictions x0_hat, packed.
        sigmas: noise level of each step, descending.
        gates: wavelet layer -> means over the samples, ``[steps, bands]``; empty for a network without such layers.

    Raises:
        InputError: if a file is missing, damaged, or does not fit the others.
    """

    def __init__(self, folder: Path) -> None:
        self.dataset = PackedDataset(folder)
        file = folder / FILE
        stored = read_json(file, WalkFile, AGAIN)
        self.sigmas, self.gates = stored["sigmas"], stored["gates"]
        if not self.sigmas or not all(sigma > 0 and math.isfinite(sigma) for sigma in self.sigmas):
            raise InputError(f"{file}: sigmas must be positive numbers, one a step: {AGAIN}.")
        if len(self.dataset) % len(self.sigmas):
            raise InputError(
                f"{file} has {len(self.sigmas)} steps, which do not divide {len(self.dataset)} signals: {AGAIN}."
            )
        for name, steps in self.gates.items():
            if len(steps) != len(self.sigmas) or len({len(bands) for bands in steps}) != 1 or not steps[0]:
                raise InputError(f"{file}: gates of {name} must be {len(self.sigmas)} rows of one length: {AGAIN}.")

    @property
    def samples(self) -> int:
        """How many walked."""
        return len(self.dataset) // len(self.sigmas)


def write_walk_file(folder: Path, sigmas: Sequence[float], gates: Mapping[str, list[list[float]]]) -> None:
    """Write what belongs beside the predictions."""
    content = WalkFile(sigmas=list(sigmas), gates=dict(gates))
    (folder / FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")
