"""What a teacher knows more than a student, by octave: kept beside a recipe, and the octaves that it can teach."""

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from data_prep.preparation import run
from mmspec.diagnosis.findings import MATTERS_DB
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.files import replace_text


def main(arguments: list[str] | None = None) -> int:
    """Print the octaves as ``distillation.octaves`` takes them, or nothing; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.common.teaching", description=__doc__)
    parser.add_argument("diagnosis", type=Path, help="what `mmspec diagnose teacher=... format=json` printed")
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of teaching.json")
    options = parser.parse_args(arguments)
    return run(lambda: taught(options.diagnosis, options.results))


def taught(diagnosis: Path, results: Path) -> str:
    """Keep teaching.json, say its table on standard error, and return the octaves, such as ``1,2``.

    Raises:
        InputError: for a diagnosis without a teacher.
    """
    found = read_json(diagnosis)
    teaching = found.get("teacher")
    if not teaching:
        raise InputError(f"{diagnosis} is of no teacher: run stage 3 again.")
    kept = {"unit": found["unit"], **teaching}
    replace_text(results / "teaching.json", json.dumps(kept, indent=1) + "\n")
    heading = f"{results.name}: error of the teacher over that of the student, by octave (below 0 where it errs less)"
    print("\n".join([heading, *lines(kept)]), file=sys.stderr)
    if not teaching["distillation.octaves"]:
        print(
            f"{results.name}: the teacher errs less by {MATTERS_DB} dB or more in no octave, so there is nothing to "
            "learn: no arms are run.",
            file=sys.stderr,
        )
    return ",".join(map(str, teaching["distillation.octaves"]))


def lines(kept: dict[str, Any]) -> list[str]:
    """An octave a line: the teacher's squared error over the student's, its interval, and whether it can teach."""
    edges, error = kept["octaves"], kept["error_db"]
    shown = []
    for octave, (low, high) in enumerate(pairwise(edges)):
        values = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*(error[name][octave] for name in ("decibels", "low", "high")))
        knows_more = len(edges) - 1 - octave in kept["distillation.octaves"]
        shown.append(f"{low:g} to {high:g} {kept['unit']}: {values} dB{', taught' if knows_more else ''}")
    return shown


if __name__ == "__main__":
    sys.exit(main())
