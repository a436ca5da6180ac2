"""Treatments from the same weights, over the same samples, noise and sampler seeds, beside none and a placebo.

Every arm and seed is a run of its own, ``out/<arm>/seed_<k>``, and a small ``out/arms/<arm>-<k>.json`` once it is
measured. What is there already is not done again; several processes on one folder share the arms.
"""

import json
import re
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypedDict

from torch import Tensor

from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.data import open_dataset
from mmspec.diagnosis.verification import FEWEST
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.experiment.correction_file import CalibratedFor, read_correction
from mmspec.experiment.evaluation import EvaluationOptions, evaluate, find_sources
from mmspec.experiment.experiment import Experiment, FirstStageOptions
from mmspec.experiment.held_out import held_out_errors
from mmspec.experiment.launch import Launch
from mmspec.experiment.machine import check_seed
from mmspec.experiment.objective import refuse_unfit
from mmspec.experiment.sample_folder import SampleOptions
from mmspec.experiment.sampling import write_draws
from mmspec.experiment.sources import open_denoiser
from mmspec.experiment.training import make_denoiser, train
from mmspec.experiment.treatments import BEFORE, Controls, Strength, Treatment, read_treatment, with_controls
from mmspec.files import exclusive, replace_text
from mmspec.training.run import Run, find_denoiser, flatten, refuse_missing
from mmspec.typed import read, write

SEEDS_APART = 1_000_000  # between the samples of one seed and of the next
RECORD = "trial.json"
HELD_OUT = "denoising_error"


class RecordFile(TypedDict):
    """What trial.json says: what all arms share, and the arms."""

    shared: dict[str, Any]
    arms: dict[str, Any]


@dataclass(frozen=True)
class VerifiedData:
    """The group ``data`` of conf/verify.yaml."""

    train: str | None = None
    test: str | None = None


@dataclass(frozen=True)
class SamplingOptions:
    """The group ``sampling`` of conf/verify.yaml."""

    steps: int = 18
    guidance: float | None = None
    batch_size: int = 64


@dataclass(frozen=True)
class VerifyOptions:
    """The keys of conf/verify.yaml, where each is described.

    Raises:
        InputError: for a number out of range.
    """

    from_: str
    treatments: list[object]
    seeds: object
    strength: Strength
    sampler: Component
    out: Path | None = None
    data: VerifiedData = field(default_factory=VerifiedData)
    steps: int = 1000
    learning_rate: float | None = None
    learning_rate_end: float | None = None
    num: int | Literal["all"] = 256
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps must be 1 or more, not {self.steps}.")
        if not self.treatments:
            raise InputError("treatments=[] names none: give the names of regularizers, such as [amplitude,haar].")


@dataclass(frozen=True)
class Trial:
    """What a verification does.

    Attributes:
        options: as given.
        out: its folder.
        experiment: of the untreated arm of seed 0.
        arms: untreated ones, placebos and treated ones, in the order in which they run.
        controls: how each treatment is judged.
        seeds: of all arms.
        record: what must be equal for its folder to go on, arms by name among it.
    """

    options: VerifyOptions
    out: Path
    experiment: Experiment
    arms: list[Treatment]
    controls: list[Controls]
    seeds: list[int]
    record: dict[str, Any]

    @property
    def test(self) -> str:
        """The packed held-out data."""
        return str(self.experiment.data.test)

    def folder(self, name: str, seed: int) -> Path:
        """Of the run, or the samples, of an arm."""
        return self.out / name / f"seed_{seed}"

    def result(self, name: str, seed: int) -> Path:
        """The file of what was measured of an arm."""
        return self.out / "arms" / f"{name}-{seed}.json"

    def training(self, arm: Treatment, seed: int) -> Experiment:
        """Of an arm: all but its terms and its teacher is as in every other."""
        return replace(
            self.experiment,
            run_dir=self.folder(arm.name, seed),
            regularizer=arm.regularizer,
            distillation=arm.distillation,
            seed=seed,
        )

    def source(self, arm: Treatment, seed: int) -> Path:
        """Whose weights an arm has: of a run of its own, or where it trains nothing of the run that is verified."""
        return self.folder(arm.name, seed) if arm.trains else Path(self.options.from_)

    def sampling(self, arm: Treatment, seed: int) -> SampleOptions:
        """Of an arm's samples, which lie in its own run, or where it has none in a folder of their own."""
        options, folder = self.options, None if arm.trains else str(self.folder(arm.name, seed))
        shared = {"sampler": options.sampler.write(), **write(options.sampling), "num": options.num, **self.told}
        own = {"from": str(self.source(arm, seed)), "out": folder, "seed": seed * SEEDS_APART}
        return read(SampleOptions, {**shared, "device": options.device, **arm.sample, **own}, f"{arm.name}.sample")

    @cached_property
    def told(self) -> dict[str, str | None]:
        """Of what all samples are told, options of ``mmspec sample``."""
        denoiser, _ = open_denoiser(self.options.from_)
        return {
            "recordings": self.test if denoiser.conditioner is not None else None,
            "captions": self.test if "context" in denoiser.told else None,
            "text_encoder": self.experiment.text_encoder,
        }


def make_trial(options: VerifyOptions) -> Trial:
    """What the options ask for, seen to fit together before anything is trained.

    Raises:
        InputError: for fewer than 2 seeds, a source that is no run or has no weights, data that are missing, or a
            treatment that does not fit the model.
    """
    seeds = seeds_of(options.seeds)
    treatments = [
        read_treatment(each, options.strength, f"treatments[{i}]") for i, each in enumerate(options.treatments)
    ]
    arms, controls = with_controls(treatments, options.strength)
    run = run_of(options.from_)
    experiment = _untreated(options, run)
    record = _record(options, experiment, arms)
    out = options.out or Path("exp/verify") / run.folder.resolve().name
    trial = Trial(options, out, experiment, arms, controls, seeds, record)
    for arm in arms:
        _see_that_it_fits(trial, arm)
    return trial


def run_of(source: str) -> Run:
    """The run that a source is, or is a checkpoint of.

    Raises:
        InputError: if it is neither.
    """
    run = Run.around(Path(source))
    if run is None:
        refuse_missing(source)
        raise InputError(
            f"from={source} is no run and no checkpoint of one: arms train on as the run did, so give a folder that "
            "`mmspec train` writes."
        )
    return run


def seeds_of(given: object) -> list[int]:
    """The seeds that ``0..4`` or ``[0,1,2]`` stands for.

    Raises:
        InputError: if they are none, twice the same, or fewer than 2.
    """
    if isinstance(given, str) and (ends := re.fullmatch(r"(\d+)\.\.(\d+)", given)):
        seeds = list(range(int(ends[1]), int(ends[2]) + 1))
    elif isinstance(given, list) and all(type(each) is int for each in given):
        seeds = list(given)
    else:
        raise InputError(f"seeds takes 0..4, or a list such as [0,1,2], not {given!r}.")
    for seed in seeds:
        check_seed(seed)
    if len(set(seeds)) != len(seeds):
        raise InputError(f"seeds={given} names a seed twice: give each once.")
    if len(seeds) < FEWEST:
        raise InputError(f"seeds={given} is {len(seeds)} seed(s), too few for an interval: give {FEWEST}, better 5.")
    return seeds


def run_arms(trial: Trial) -> None:
    """Train, sample and measure every arm of every seed that is not there yet, but those that another process is at.

    Raises:
        InputError: if the folder is of another verification, or an arm cannot be trained or measured.
        Interrupted: after a signal to stop in a training, once a checkpoint is written.
    """
    if Launch.current().count > 1:
        raise InputError("verify is one process: start it several times with the same out, and they share the arms.")
    _open(trial)
    every = list(product(trial.seeds, trial.arms))
    for number, (seed, arm) in enumerate(every, start=1):
        if not trial.result(arm.name, seed).is_file():
            sys.stderr.write(f"arm {number} of {len(every)}: {arm.name}, seed {seed}\n")
        _finish(trial, arm, seed)


def _untreated(options: VerifyOptions, run: Run) -> Experiment:
    before = recorded_experiment(run)
    data = replace(
        before.data, train=options.data.train or before.data.train, test=options.data.test or before.data.test
    )
    if data.test is None:
        raise InputError(f"{run.folder} has no data.test: give data.test=FOLDER, packed held-out signals.")
    rate, end = options.learning_rate, options.learning_rate_end
    trainer = replace(
        before.trainer,
        max_steps=options.steps,
        learning_rate=before.trainer.learning_rate if rate is None else rate,
        learning_rate_end=before.trainer.learning_rate_end if end is None else end,
        warmup_steps=min(before.trainer.warmup_steps, options.steps // 10),
        sample_every=None,
        keep_last=1,
        keep_every=None,
        device=options.device,
    )
    return replace(
        before,
        data=replace(data, sha256=open_dataset(data.train).meta.sha256),
        trainer=trainer,
        first_stage=FirstStageOptions(),
        init_from=str(find_denoiser(options.from_)),
        init_from_sha256=None,
        regularizer={},
        resume="auto",
    )


def _record(options: VerifyOptions, experiment: Experiment, arms: list[Treatment]) -> dict[str, Any]:
    shared = {
        "weights": open_denoiser(str(experiment.init_from))[1],
        "data": {"train": experiment.data.sha256, "test": open_dataset(str(experiment.data.test)).meta.sha256},
        "trainer": {
            key: write(getattr(experiment.trainer, key)) for key in ("max_steps", "learning_rate", "learning_rate_end")
        },
        "num": options.num,
        "sampler": options.sampler.write(),
        "sampling": {"steps": options.sampling.steps, "guidance": options.sampling.guidance},
    }
    return {"shared": shared, "arms": {arm.name: write(arm) for arm in arms}}


def _see_that_it_fits(trial: Trial, arm: Treatment) -> None:
    sampling = trial.sampling(arm, 0)
    if sampling.correction is not None:
        read_correction(sampling.correction, CalibratedFor.of(*open_denoiser(sampling.from_), sampling.guidance))
    if arm.distillation.active:
        open_denoiser(str(arm.distillation.teacher))
    if not arm.regularizer:
        return
    training = trial.training(arm, 0)
    training, denoiser = make_denoiser(training, open_dataset(training.data.train))
    objective = training.objective.build(denoiser.process, None, training.regularizer)
    try:
        refuse_unfit(objective, denoiser.latent_shape or ())
    except InputError as error:
        raise InputError(f"treatment {arm.name}: {error}") from None


def _open(trial: Trial) -> None:
    """Make the folder, or see that it is this verification's, to which treatments may have come."""
    file = trial.out / RECORD
    known: dict[str, Any] = {}
    if file.is_file():
        known = read_json(file, RecordFile)
        _refuse_other(trial, known)
    elif held := sorted(path.name for path in trial.out.glob("[!.]*")):
        raise InputError(f"{trial.out} holds {held[0]} and no {RECORD}, so it is none: give another out=.")
    record = {"shared": trial.record["shared"], "arms": {**known.get("arms", {}), **trial.record["arms"]}}
    replace_text(file, json.dumps(record, indent=1) + "\n")


def _refuse_other(trial: Trial, known: dict[str, Any]) -> None:
    again = {name: arm for name, arm in trial.record["arms"].items() if name in known["arms"]}
    was = {**known["shared"], **{name: known["arms"][name] for name in again}}
    if changed := changes(was, {**trial.record["shared"], **again}):
        raise InputError(
            f"{trial.out} belongs to another verification ({'; '.join(changed)}): give another out=, or undo that."
        )


def changes(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two records, in words."""
    before, after = flatten(was), flatten(now)
    return [
        f"{key} was {before.get(key, 'absent')}, is {after.get(key, 'absent')}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def _finish(trial: Trial, arm: Treatment, seed: int) -> None:
    file = trial.result(arm.name, seed)
    with ExitStack() as stack:
        try:
            lock = file.with_name(f".{file.stem}.lock")
            stack.enter_context(exclusive(lock, f"{arm.name} of seed {seed} is at work", "go on with the next"))
        except InputError:  # another process does it
            return
        if file.is_file():
            return
        if arm.trains:
            train(trial.training(arm, seed))
        options = trial.sampling(arm, seed)
        write_draws(options)
        replace_text(file, json.dumps(_measured(trial, arm, seed, options.folder), indent=1) + "\n")


def _measured(trial: Trial, arm: Treatment, seed: int, samples: Path) -> dict[str, Any]:
    given = {
        **_evaluation(),
        "samples": str(samples),
        "reference": trial.test,
        "crop": trial.experiment.data.crop,
        "device": trial.options.device,
    }
    options = read(EvaluationOptions, given)
    sources = replace(find_sources(options), train=None)
    evaluation = evaluate(options, sources)
    replace_text(sources.out, json.dumps(evaluation.write(), indent=1) + "\n")
    values: dict[str, Any] = {metric.name: metric.value for metric in evaluation.metrics}
    better = {metric.name: metric.better for metric in evaluation.metrics if metric.better is not None}
    if arm.trains or arm.name == BEFORE:
        values[HELD_OUT] = [float(f"{error:.6g}") for error in _errors(trial, trial.source(arm, seed)).tolist()]
        better[HELD_OUT] = "lower"
    return {"arm": arm.name, "seed": seed, "samples": str(samples), "values": values, "better": better}


@cache
def _evaluation() -> dict[str, Any]:
    """The defaults of ``mmspec evaluate``."""
    return plain(compose("evaluate", ["samples=."]))


def _errors(trial: Trial, source: Path) -> Tensor:
    """As `held_out_errors`, ``[N]``."""
    run = Run.around(source)
    assert run is not None
    trained = recorded_experiment(run)
    trainer = replace(trained.trainer, device=trial.options.device)
    return held_out_errors(replace(trained, data=replace(trained.data, test=trial.test), trainer=trainer), str(source))


def recorded_experiment(run: Run) -> Experiment:
    """What a run was trained by, but for where its shards lay: a command in a file is not obeyed."""
    experiment = read(Experiment, {key: value for key, value in run.config.items() if key != "provenance"})
    return replace(experiment, data=replace(experiment.data, shards=None))
