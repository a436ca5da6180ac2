"""What ``mmspec sample`` is asked for, and the folder that it makes, whether torch draws or what was exported."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmspec.components import Component
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.experiment.machine import check_seed
from mmspec.files import replace_text
from mmspec.provenance import provenance
from mmspec.report.runs import SampleFile
from mmspec.training.run import run_at

RECORD = "sample.json"
SHOWN = 64  # signals in the overview
# Of the options, what it repeats.
FACTS = ("sampler", "steps", "guidance", "correction", "seed", "num", "labels", "text", "captions", "mixed_precision")


@dataclass(frozen=True)
class SampleOptions:
    """The options of ``mmspec sample``: conf/sample.yaml explains each."""

    from_: str
    sampler: Component
    out: Path | None = None
    num: int | Literal["all"] = 64
    steps: int = 18
    guidance: float | None = None
    correction: Path | None = None
    labels: str | int = "balanced"
    text: str | int | float | None = None
    captions: str | None = None
    text_encoder: str | None = None
    recordings: str | None = None
    walk: int = 0
    seed: int = 0
    batch_size: int = 64
    mixed_precision: Literal["no", "bf16"] = "no"
    channels_last: bool | Literal["auto"] = False
    compile: bool | Literal["auto"] = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.steps < 1 or (self.num != "all" and self.num < 1):
            raise InputError(
                f"num, steps and batch_size must be 1 or more, not {self.num}, {self.steps} and {self.batch_size}."
            )
        if self.walk < 0:
            raise InputError(f"walk must be 0 or more samples, not {self.walk}.")
        check_seed(self.seed)

    @property
    def folder(self) -> Path:
        """Where the samples go.

        Raises:
            InputError: if that is not said, and does not follow from a run.
        """
        if self.out is not None:
            return self.out
        return run_at(self.from_, "say with out=FOLDER where the samples go").samples


def refuse_foreign(out: Path) -> None:
    """See that nothing is lost which this command did not make; an evaluation of samples goes with them."""
    mend = "move it away, or give another out=FOLDER"
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, where a folder of samples is to be: {mend}.")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    if found and RECORD not in found:
        raise InputError(f"{out} holds something that `mmspec sample` did not make (it has no {RECORD}): {mend}.")
    own = read_json(out / RECORD, SampleFile).get("files") if found else None
    if own is not None and (foreign := sorted(found - {RECORD, "evaluation.json", *own})):
        raise InputError(f"{out} holds {foreign[0]}, which `mmspec sample` did not put there: {mend}.")


def write_record(folder: Path, facts: dict[str, Any], besides: Sequence[str] = ()) -> None:
    """Write how the samples in a folder were made, and by what, beside them; ``besides`` will not stay there."""
    files = {path.name for path in folder.iterdir()} - {RECORD, *besides}
    record = {**facts, **provenance(), "files": sorted(files)}
    replace_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
