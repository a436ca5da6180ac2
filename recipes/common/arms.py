"""Arms of `mmspec verify`, kept beside a recipe: a small JSON an arm and seed, and the table of what is there."""

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.preparation import run
from mmspec.documents import read_json
from mmspec.drawing.tables import TextTable, markdown
from mmspec.errors import InputError
from mmspec.experiment.treatments import BEFORE, PLACEBO, TRAIN_ON, UNTREATED, Controls
from mmspec.experiment.verification import RECORD, RecordFile, changes
from mmspec.experiment.verified import ArmFile, judged, read_arms, rows
from mmspec.files import replace_text

TITLE = "# Measured by this recipe\n"


def main(arguments: list[str] | None = None) -> int:
    """Keep arms, and write their table; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.common.arms", description=__doc__)
    parser.add_argument("arms", type=Path, metavar="FOLDER", help="out of mmspec verify")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    options = parser.parse_args(arguments)
    return run(lambda: keep(options.arms, options.results))


def keep(folder: Path, results: Path) -> str:
    """Copy the arms of a verification that RESULTS has not, and write ``results.md`` of all that it has.

    Raises:
        InputError: if RESULTS holds arms of another verification, which began with other weights or data.
    """
    page = results / "results.md"
    if page.is_file() and not page.read_text(encoding="utf-8").startswith(TITLE):
        raise InputError(f"{page} is something else than this table: move it away.")
    _same_verification(folder / RECORD, results)
    for file in sorted((folder / "arms").glob("*.json")):
        if not (results / file.name).exists():
            shutil.copyfile(file, results / file.name)
    found = read_arms(sorted(results.glob("*-*.json")))
    verification = folder / "verification.json"
    octaves = read_json(verification)["octaves"] if verification.is_file() else ()
    judgements, notes = judged(found, controls_of(found), octaves)
    sentences = [*(each.sentence for each in judgements), *notes]
    replace_text(page, f"{TITLE}\n#{markdown(rows(judgements), sentences)}\n#{markdown(means(found))}")
    return f"{page}: {sum(map(len, found.values()))} arms"


def means(found: Mapping[str, Mapping[int, ArmFile]]) -> TextTable:
    """What was measured of each arm, its mean over seeds, and over signals where each has a value."""
    measures = list(dict.fromkeys(name for seeds in found.values() for row in seeds.values() for name in row["values"]))
    cells = [
        [name, *(_mean([row["values"].get(each) for row in seeds.values()]) for each in measures)]
        for name, seeds in found.items()
    ]
    return TextTable("Means over seeds", ["arm", *measures], cells)


def _mean(values: list[Any]) -> str:
    return "" if None in values else f"{np.mean([np.mean(value) for value in values]):.4g}"


def _same_verification(record: Path, results: Path) -> None:
    if not record.is_file():
        raise InputError(f"{record.parent} is no verification: it has no {RECORD}.")
    shared, kept = read_json(record, RecordFile)["shared"], results / RECORD
    known = read_json(kept, RecordFile)["shared"] if kept.is_file() else {}
    if any(results.glob("*-*.json")) and known != shared:
        other = "; ".join(changes(known, shared)) if known else f"it has no {RECORD}"
        raise InputError(f"{results} holds arms of another verification ({other}): give another --results FOLDER.")
    results.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(record, kept)


def controls_of(found: Mapping[str, Mapping[int, ArmFile]]) -> list[Controls]:
    """How each treatment is judged, as far as the names of the arms tell: as in mmspec.experiment.treatments."""
    controls = [Controls(TRAIN_ON, UNTREATED, BEFORE)] if {UNTREATED, BEFORE} <= found.keys() else []
    for name, seeds in found.items():
        if name in (BEFORE, UNTREATED) or name.startswith(PLACEBO):
            continue
        row: Any = next(iter(seeds.values()))
        trained = "denoising_error" in row["values"]
        placebo = next((each for each in (f"{PLACEBO}_of_{name}", PLACEBO) if trained and each in found), None)
        controls.append(Controls(name, name, UNTREATED if trained else BEFORE, placebo))
    return controls


if __name__ == "__main__":
    sys.exit(main())
