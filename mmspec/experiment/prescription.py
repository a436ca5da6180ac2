"""From the configuration of ``mmspec prescribe`` to what is wrong, what is to be done about it, and whether it helped.

Stages in one folder, none of which is done again: ``diagnosis.json`` with what is prescribed, ``correction.json``, and
the arms of ``verification/``. Half of the held-out signals are diagnosed and calibrated on; the others verify, so that
a correction is not judged by the signals that it was made from.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np

from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.data import StoredDataset, open_dataset
from mmspec.data.packed import write_part
from mmspec.diagnosis.calibration import FEWEST, NothingToCorrect
from mmspec.diagnosis.prescription import Prescription, Teaching, prescriptions
from mmspec.diagnosis.verification import DECIDING, Judgement
from mmspec.diagnosis.verification_figures import verification_figures
from mmspec.documents import read_json
from mmspec.drawing.figure_page import write_figure_page
from mmspec.drawing.pages import check_page
from mmspec.drawing.tables import TextTable
from mmspec.errors import InputError
from mmspec.experiment.calibration import CalibrateOptions, write_correction
from mmspec.experiment.diagnosis import DiagnoseOptions, Diagnosis, diagnose
from mmspec.experiment.sources import open_denoiser
from mmspec.experiment.training_signals import refuse_training_signals
from mmspec.experiment.treatments import TRAIN_ON
from mmspec.experiment.verification import (
    SamplingOptions,
    VerifiedData,
    VerifyOptions,
    changes,
    make_trial,
    run_arms,
    run_of,
    seeds_of,
)
from mmspec.experiment.verified import Verification, check_outputs, gather, write_outputs
from mmspec.files import replace_text
from mmspec.provenance import provenance
from mmspec.typed import read, write

REGULARIZER = "amplitude_phase"
TAUGHT = {"frequency": 0.1, "features": False}  # outputs alone have the octaves that a diagnosis names


@dataclass(frozen=True)
class PrescribeOptions:
    """The keys of conf/prescribe.yaml, where each is described.

    Raises:
        InputError: for seeds that cannot be, or too few.
    """

    from_: str
    sampler: Component
    teacher: str | None = None
    out: Path | None = None
    data: VerifiedData = field(default_factory=VerifiedData)
    seeds: object = "0..4"
    steps: int = 1000
    num: int | Literal["all"] = 256
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    format: Literal["text", "json"] = "text"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        seeds_of(self.seeds)

    @property
    def folder(self) -> Path:
        """Of all that is written."""
        return self.out or Path("exp/prescribe") / run_of(self.from_).folder.resolve().name

    def of(self, verb: str, *needed: str) -> dict[str, Any]:
        """The options of another verb, with its defaults for what is not said here; ``needed`` are its overrides."""
        shared = {"from": self.from_, "device": self.device}
        return {**plain(compose(verb, ["from=.", *needed])), **shared}


class PlanFile(TypedDict):
    """What is read of diagnosis.json."""

    asked: dict[str, Any]
    verdict: str
    prescriptions: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True)
class Prescribed:
    """What is wrong, what is to be done, and what was seen of it.

    Attributes:
        options: of what, and how.
        diagnosis: in a sentence.
        prescriptions: what is to be done; none where nothing is to mend.
        verification: of those that can be verified, by the names of `names`; None where there are none.
        notes: what else is to be said.
    """

    options: PrescribeOptions
    diagnosis: str
    prescriptions: list[Prescription]
    verification: Verification | None
    notes: list[str]

    @property
    def page(self) -> Path:
        """Where the page is."""
        return self.options.folder / "prescription.html"

    @property
    def sentences(self) -> list[str]:
        """What is prescribed and why, whether it helped, and what else is to be said."""
        found = [f"{name(each)} is prescribed: {each.reason}." for each in self.prescriptions]
        if not found:
            found = ["Nothing is prescribed, and nothing was trained."]
        return [*found, *([] if self.verification is None else self.verification.sentences), *self.notes]

    def judgement(self, prescribed: Prescription) -> Judgement | None:
        """Whether it helped; None of what is not verified."""
        found = [] if self.verification is None else self.verification.judgements
        return next((each for each in found if each.name == name(prescribed)), None)

    def write(self) -> dict[str, Any]:
        """The object that ``format=json`` prints."""
        return {
            "diagnosis": self.diagnosis,
            "prescriptions": [{"name": name(each), **asdict(each), **self._seen(each)} for each in self.prescriptions],
            "sentences": self.sentences,
            "command": provenance()["command"],
        }

    def _seen(self, prescribed: Prescription) -> dict[str, Any]:
        judgement = self.judgement(prescribed)
        if judgement is None:
            return {"verdict": None}
        decisive = judgement.none.differences[DECIDING]
        return {
            "verdict": judgement.verdict,
            "against": judgement.none.against,
            "difference_db": decisive.mean,
            "interval": [decisive.interval.low, decisive.interval.high],
        }


def name(prescribed: Prescription) -> str:
    """By which a verification calls a treatment."""
    return REGULARIZER if prescribed.remedy == "regularizer" else prescribed.remedy


def prescribe(options: PrescribeOptions) -> Prescribed:
    """Diagnose a run, prescribe, verify what can be verified, and write all of it; what was done before is kept.

    Raises:
        InputError: if the source is no run, held-out signals are missing, too few or trained on, the teacher knows no
            more, the folder is of something else, or a stage refuses.
        Interrupted: after SIGTERM or Ctrl-C in a training, once a checkpoint is written.
    """
    page = options.folder / "prescription.html"
    check_page(page)
    check_outputs(options.folder / "verification")
    halves = _Halves.of(options)
    plan = _plan(options, halves)
    prescribed = [read(Prescription, each) for each in plan["prescriptions"]]
    treatments, notes = _treatments(options, halves, prescribed)
    verification = _verify(options, halves, treatments, prescribed) if treatments else None
    found = Prescribed(options, plan["verdict"], prescribed, verification, [*plan["notes"], *notes])
    replace_text(page.with_suffix(".json"), json.dumps(found.write(), indent=1) + "\n")
    _write_page(found)
    return found


@dataclass(frozen=True)
class _Halves:
    """Held-out signals: every other one is diagnosed and calibrated on, the others verify."""

    whole: StoredDataset
    folder: Path

    @classmethod
    def of(cls, options: PrescribeOptions) -> "_Halves":
        folder = options.data.test or run_of(options.from_).data("test")
        if folder is None:
            raise InputError(f"{options.from_} has no data.test: give data.test=FOLDER, packed held-out signals.")
        whole = open_dataset(folder)
        if len(whole) < 2 * FEWEST:
            raise InputError(
                f"data.test={folder} holds {len(whole)} signals, of which half are diagnosed and half verify: "
                f"{2 * FEWEST} are needed, hundreds are better."
            )
        refuse_training_signals(whole, options.from_, "data.test", options.data.train)
        return cls(whole, options.folder / "held_out")

    def part(self, which: Literal["diagnosed", "verifying"]) -> str:
        """The folder of a half, which is made where it is not there yet."""
        folder = self.folder / which
        if not (folder / "meta.json").is_file():
            write_part(folder, self.whole, np.arange(which == "verifying", len(self.whole), 2))
        return str(folder)


def _plan(options: PrescribeOptions, halves: _Halves) -> PlanFile:
    """What is wrong and what is prescribed, as it was found before or now."""
    file, asked = options.folder / "diagnosis.json", _asked(options, halves)
    if not file.is_file():
        foreign = {path.name for path in options.folder.glob("[!.]*")} - {"held_out", "diagnosis.html"}
        if foreign:
            raise InputError(f"{options.folder} holds {min(foreign)} and no {file.name}: give another out=.")
        found = _diagnosed(options, halves)
        prescribed = prescriptions(found.findings, found.teaching)
        made = {
            "prescriptions": [asdict(each) for each in prescribed],
            "notes": _of_teacher(found.teaching, prescribed),
        }
        replace_text(file, json.dumps({"asked": asked, **found.write(), **made}, indent=1) + "\n")
    read_back: Any = read_json(file, PlanFile)
    plan: PlanFile = read_back
    if changed := changes(plan["asked"], asked):
        raise InputError(
            f"{options.folder} belongs to another prescription ({'; '.join(changed)}): give another out=, or undo that."
        )
    return plan


def _asked(options: PrescribeOptions, halves: _Halves) -> dict[str, Any]:
    """What must be equal for a folder to go on."""
    return {
        "weights": open_denoiser(options.from_)[1],
        "data": {"test": halves.whole.meta.sha256},
        "teacher": None if options.teacher is None else open_denoiser(options.teacher)[1],
        "sampler": options.sampler.write(),
        "sampling": {"steps": options.sampling.steps, "guidance": options.sampling.guidance},
    }


def _diagnosed(options: PrescribeOptions, halves: _Halves) -> Diagnosis:
    given = {
        **options.of("diagnose"),
        "data": halves.part("diagnosed"),
        "out": str(options.folder / "diagnosis.html"),
        "teacher": options.teacher,
        "sampler": options.sampler.write(),
        "steps": options.sampling.steps,
    }
    found = diagnose(read(DiagnoseOptions, given))
    if found.teaching is not None and not found.teaching.octaves:
        raise InputError(
            f"teacher={options.teacher} knows no more than {options.from_}: its error is below in no octave, for sure "
            "and by half a decibel; leave it out, or give a better one."
        )
    return found


def _of_teacher(teaching: Teaching | None, prescribed: list[Prescription]) -> list[str]:
    if teaching is None or any(each.remedy == "distillation" for each in prescribed):
        return []
    where = ", ".join(teaching.axis.where([octave]) for octave in teaching.octaves)
    return [
        f"The teacher errs less {where}, and is not prescribed: it is where an octave is dull, and none is too noisy."
    ]


def _treatments(
    options: PrescribeOptions, halves: _Halves, prescribed: list[Prescription]
) -> tuple[list[object], list[str]]:
    """What verify is to do, and why not all of it."""
    treatments, notes = [], []
    for each in prescribed:
        try:
            treatment = _treatment(options, halves, each)
        except NothingToCorrect as error:
            notes.append(f"No {name(each)} is verified: {error}")
        else:
            treatments += [] if treatment is None else [treatment]
    return treatments, notes


def _treatment(options: PrescribeOptions, halves: _Halves, prescribed: Prescription) -> object:
    """As ``treatments`` of verify take it; None of what it cannot do."""
    match prescribed.remedy:
        case "train_on":
            return TRAIN_ON
        case "regularizer":
            return REGULARIZER
        case "correction":
            return {"name": "correction", "sample": {"correction": _correction(options, halves)}}
        case "distillation":
            taught = {"teacher": options.teacher, **TAUGHT, "octaves": list(prescribed.octaves)}
            return {"name": "distillation", "distillation": taught}
        case "more_steps":
            return {"name": "more_steps", "sample": {"steps": 2 * options.sampling.steps}}
        case "first_stage":
            return None


def _correction(options: PrescribeOptions, halves: _Halves) -> str:
    file = options.folder / "correction.json"
    if not file.is_file():
        given = {
            **options.of("calibrate", "out=."),
            "out": str(file),
            "data": halves.part("diagnosed"),
            "train": options.data.train,
            "guidance": options.sampling.guidance,
            "batch_size": options.sampling.batch_size,
        }
        write_correction(read(CalibrateOptions, given))
    return str(file)


def _verify(
    options: PrescribeOptions, halves: _Halves, treatments: list[object], prescribed: list[Prescription]
) -> Verification:
    given = {
        **options.of("verify", "treatments=[]"),
        "treatments": treatments,
        "seeds": options.seeds,
        "sampler": options.sampler.write(),
        "out": str(options.folder / "verification"),
        "data": {"train": options.data.train, "test": halves.part("verifying")},
        "steps": options.steps,
        "num": options.num,
        "sampling": write(options.sampling),
    }
    if gates := [each.gate for each in prescribed if each.gate is not None]:
        gate = {"type": "InverseSigmaGate", "sigma_gate": max(gates)}
        given["strength"] = {**given["strength"], "sigma_weight": gate}
    trial = make_trial(read(VerifyOptions, given))
    run_arms(trial)
    verification = gather(trial)
    write_outputs(verification)
    return verification


def _write_page(found: Prescribed) -> None:
    rows = []
    for each in found.prescriptions:
        judgement = found.judgement(each)
        rows.append([name(each), each.reason, "not verified" if judgement is None else judgement.verdict])
    tables = [TextTable("Prescribed", ["treatment", "because", "verdict"], rows)] if rows else []
    seen = found.verification
    figures = [] if seen is None else verification_figures(seen.arms, seen.judgements, seen.octaves)
    beside = f"{found.page.with_name('diagnosis.html')} has what was measured."
    title = f"Prescription for {run_of(found.options.from_).folder.resolve().name}"
    write_figure_page(found.page, title, found.diagnosis, figures, tables, [*found.sentences, beside])
