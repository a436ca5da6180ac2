"""What a verification has found so far: judgements of the arms that are there, as JSON, a table and a page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import torch

from mmspec.data import open_dataset
from mmspec.diagnosis.verification import DECIDING, FEWEST, Arm, ArmDifference, Judgement, judge, stacked
from mmspec.diagnosis.verification_figures import verification_figures
from mmspec.documents import read_json
from mmspec.drawing.figure_page import write_figure_page
from mmspec.drawing.pages import check_page
from mmspec.drawing.tables import TextTable, check_markdown, markdown, write_markdown
from mmspec.experiment.treatments import Controls
from mmspec.experiment.verification import Trial
from mmspec.files import replace_text
from mmspec.metrics.comparison import sets_of
from mmspec.metrics.measure import Better
from mmspec.metrics.octave_bias import BIAS
from mmspec.metrics.octaves import described
from mmspec.provenance import provenance


class ArmFile(TypedDict):
    """What is read of ``arms/<arm>-<seed>.json``."""

    arm: str
    seed: int
    values: dict[str, float | list[float]]
    better: dict[str, Better]


@dataclass(frozen=True)
class Verification:
    """What has been found.

    Attributes:
        trial: of the verification.
        octaves: what they are called, the lowest first.
        arms: of each that is there, all of its seeds.
        seeds: arm -> its seeds that are there, ascending.
        judgements: of treatments with enough seeds, in the order of the trial.
        notes: what is missing, or cannot be judged yet.
    """

    trial: Trial
    octaves: list[str]
    arms: dict[str, Arm]
    seeds: dict[str, list[int]]
    judgements: list[Judgement]
    notes: list[str]

    @property
    def sentences(self) -> list[str]:
        """One a treatment, and what is missing."""
        return [*(each.sentence for each in self.judgements), *self.notes]

    def write(self) -> dict[str, Any]:
        """The contents of verification.json."""
        return {
            "sentences": self.sentences,
            "treatments": {each.name: asdict(each) for each in self.judgements},
            "octaves": self.octaves,
            "octave_bias": {name: arm.octave_bias.tolist() for name, arm in self.arms.items()},
            "seeds": self.seeds,
            "command": provenance()["command"],
        }


def gather(trial: Trial) -> Verification:
    """Judge what is there.

    Raises:
        InputError: if a file of an arm was changed by hand.
    """
    files = (trial.result(arm.name, seed) for arm in trial.arms for seed in trial.seeds)
    found = {arm.name: dict[int, ArmFile]() for arm in trial.arms} | read_arms(files)
    octaves = _octave_names(trial)
    judgements, notes = judged(found, trial.controls, octaves)
    missing = [f"{arm.name}-{seed}" for seed in trial.seeds for arm in trial.arms if seed not in found[arm.name]]
    if missing:
        notes.append(f"Missing: {', '.join(missing)}; the same command goes on with them.")
    better = _better(found)
    arms_there = {name: _arm(name, list(rows.values()), better) for name, rows in found.items() if rows}
    seeds = {name: sorted(rows) for name, rows in found.items()}
    return Verification(trial, octaves, arms_there, seeds, judgements, notes)


def read_arms(files: Iterable[Path]) -> dict[str, dict[int, ArmFile]]:
    """Arm -> seed -> what was measured, of those files that are there.

    Raises:
        InputError: if one was changed by hand.
    """
    found: dict[str, dict[int, ArmFile]] = {}
    for file in files:
        if file.is_file():
            row: Any = read_json(file, ArmFile)
            found.setdefault(row["arm"], {})[row["seed"]] = row
    return {arm: dict(sorted(rows.items())) for arm, rows in found.items()}


def judged(
    found: Mapping[str, Mapping[int, ArmFile]], controls: Sequence[Controls], octaves: Sequence[str] = ()
) -> tuple[list[Judgement], list[str]]:
    """Judge treatments by the seeds that their arms have in common.

    Args:
        found: as `read_arms` gives it.
        controls: of each treatment.
        octaves: what they are called, the lowest first; empty for their numbers.

    Returns:
        Judgements, and why others are missing.
    """
    better = _better(found)
    judgements, notes = [], []
    for each in controls:
        common = sorted(set.intersection(*(set(found.get(name, {})) for name in each.arms)))
        if len(common) < FEWEST:
            notes.append(
                f"{each.treatment} is not judged: {', '.join(each.arms)} have {len(common)} seed(s) in common so far."
            )
            continue
        treated, none, *placebo = (_arm(name, [found[name][seed] for seed in common], better) for name in each.arms)
        treated = replace(treated, name=each.treatment)
        judgements.append(judge(treated, none, placebo[0] if placebo else None, better, octaves))
    return judgements, notes


def rows(judgements: Sequence[Judgement]) -> TextTable:
    """Treatments as they are read: mean differences of the deciding measure, with intervals."""
    table = []
    for each in judgements:
        decisive = each.none.differences[DECIDING]
        beside = "" if each.placebo is None else _text(each.placebo)
        row = [each.name, each.verdict, each.none.against, _text(each.none), beside, f"{decisive.permutation_p:.3g}"]
        table.append([*row, f"{decisive.detectable:.2g}", str(decisive.seeds)])
    headings = [
        "treatment",
        "verdict",
        "against",
        "differs by (dB)",
        "from its placebo (dB)",
        "exact p",
        "could see (dB)",
        "seeds",
    ]
    return TextTable("Mean size of the bias by octave", headings, table)


def check_outputs(out: Path) -> None:
    """Raise InputError if a file would be replaced that mmspec did not make."""
    check_page(out / "verification.html")
    check_markdown(out / "table.md")


def write_outputs(verification: Verification) -> Path:
    """Write verification.json, table.md and the page; returns the page."""
    trial = verification.trial
    out = trial.out
    replace_text(out / "verification.json", json.dumps(verification.write(), indent=1) + "\n")
    table = rows(verification.judgements)
    write_markdown(out / "table.md", markdown(table, verification.sentences))
    options, least = trial.options, 2 / 2 ** len(trial.seeds)
    lead = (
        f"Arms that train start from the averaged weights of {options.from_} and take {options.steps:,} steps over the "
        "same samples and noise; before is the run as it was, none is trained on without a treatment. A treatment "
        "helps where the interval lies below 0 against its untreated arm and, if it has one, its placebo. The "
        f"exact test over {len(trial.seeds)} seeds cannot go below {least:.2g}."
    )
    figures = verification_figures(verification.arms, verification.judgements, verification.octaves)
    page = out / "verification.html"
    write_figure_page(page, f"Verification: {out.resolve().name}", lead, figures, [table], verification.sentences)
    return page


def _better(found: Mapping[str, Mapping[int, ArmFile]]) -> dict[str, Better]:
    """Measure -> which values are better, over all arms."""
    better: dict[str, Better] = {}
    for rows in found.values():
        for row in rows.values():
            better |= row["better"]
    return better


def _arm(name: str, rows: list[ArmFile], better: Mapping[str, Better]) -> Arm:
    values = [row["values"] for row in rows]
    octaves = stacked(values, [key for key in values[0] if key.startswith(f"{BIAS}_")])
    return Arm(name, stacked(values, list(better)), torch.stack(list(octaves.values()), 1))


def _octave_names(trial: Trial) -> list[str]:
    dataset = open_dataset(trial.test)
    everything, crop = torch.arange(len(dataset)), trial.experiment.data.crop
    sets = sets_of(dataset, everything, crop=crop, cut=False, batch_size=1, device=torch.device("cpu"))
    octaves = described(sets["stretches"]).octaves
    pairs = zip(octaves.edges, octaves.edges[1:], strict=False)
    return [f"{low:g} to {high:g} {octaves.unit}" for low, high in pairs]


def _text(difference: ArmDifference) -> str:
    decisive = difference.differences[DECIDING]
    return f"{decisive.mean:+.3f} ({decisive.interval.low:+.3f} to {decisive.interval.high:+.3f})"
