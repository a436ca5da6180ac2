"""What an arm of a verification is treated with, and the arms that it is judged by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.errors import InputError
from mmspec.experiment.objective import DistillationOptions, RegularizerOptions
from mmspec.typed import checked, read, refuse_unknown, write

BEFORE, UNTREATED, PLACEBO = "before", "none", "placebo"  # arms that are nobody's treatment
TRAIN_ON = "train_on"  # the treatment that the arm none is, beside the run as it was
KEYS = ("name", "regularizer", "distillation", "sample")
SHARED = ("from", "out", "num", "seed")  # of the options of ``mmspec sample``: all arms have the same


@dataclass(frozen=True)
class Strength:
    """The group ``strength``, which all regularizers and their placebo share."""

    weight: float
    sigma_weight: Component | None
    ramp_steps: int
    balance: Literal["gradient"] | None


@dataclass(frozen=True)
class Treatment:
    """What is done to an arm; ``Treatment("none")`` trains on as the run did, ``Treatment("before")`` is the run.

    Attributes:
        name: of its folder.
        regularizer: terms by name.
        distillation: a teacher, or none.
        sample: options of ``mmspec sample`` that differ, such as a correction.
    """

    name: str
    regularizer: dict[str, RegularizerOptions] = field(default_factory=dict)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    sample: dict[str, Any] = field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether a training makes its weights, which otherwise are the run's own."""
        return self.name == UNTREATED or bool(self.regularizer) or self.distillation.active

    def placebo(self, name: str) -> "Treatment | None":
        """The same with squared errors in place of what looks at frequencies; None where nothing does.

        A regularizer keeps its gate and its share of the gradient. Of distillation, all frequencies of the teacher
        count, and alike, which by Parseval's theorem is the squared error to it.
        """
        terms = {
            f"{PLACEBO}_{i}": replace(term, loss=Component("SquaredError"))
            for i, term in enumerate(self.regularizer.values(), 1)
        }
        distillation = (
            replace(self.distillation, alpha=0.0, octaves=()) if self.distillation.frequency else self.distillation
        )
        found = replace(self, name=name, regularizer=terms, distillation=distillation)
        same = distillation == self.distillation and not terms
        return None if same else found


@dataclass(frozen=True)
class Controls:
    """The arms that a treatment is judged by, all of which differ from the first in one thing.

    Attributes:
        treatment: its name.
        treated: the arm that has it.
        untreated: trained on as long without it; of what trains nothing, and of training on, the run as it was.
        placebo: with its placebo in its place, or None.
    """

    treatment: str
    treated: str
    untreated: str
    placebo: str | None = None

    @property
    def arms(self) -> list[str]:
        """Their names."""
        return [name for name in (self.treated, self.untreated, self.placebo) if name is not None]


def read_treatment(config: object, strength: Strength, where: str) -> Treatment:
    """A treatment of a configuration: the name of a regularizer, ``train_on``, or keys and values.

    Args:
        config: a preset or class of the group ``regularizer``; ``train_on``; or ``name``, ``regularizer`` (such a name,
            or terms as ``mmspec train`` takes them), ``distillation`` and ``sample``.
        strength: of terms that do not say their own.
        where: the key.

    Raises:
        InputError: for a name that is no folder's or is taken, an unknown key, or a term or teacher that cannot be
            used.
    """
    if config == TRAIN_ON:
        return Treatment(TRAIN_ON)
    given = {"regularizer": config} if isinstance(config, str) else config
    if not isinstance(given, Mapping):
        raise InputError(f"{where} takes the name of a regularizer, or keys and values, not {config!r}.")
    refuse_unknown(given, list(KEYS), where)
    regularizer = given.get("regularizer")
    treatment = Treatment(
        name=_name(given, where),
        regularizer=_terms(regularizer, strength, f"{where}.regularizer"),
        distillation=read(DistillationOptions, given.get("distillation") or {}, f"{where}.distillation"),
        sample=_sampling(given.get("sample") or {}, f"{where}.sample"),
    )
    if not treatment.trains and not treatment.sample:
        raise InputError(f"{where}={treatment.name} treats nothing: train_on is what trains on as before.")
    if treatment.distillation.active and treatment.distillation.steps is not None:
        raise InputError(f"{where}.distillation.steps is of another sampler than the other arms have: leave it out.")
    return treatment


def with_controls(treatments: list[Treatment], strength: Strength) -> tuple[list[Treatment], list[Controls]]:
    """All arms, and how each treatment is judged.

    Returns:
        Untreated arms, placebos and treated arms, in the order in which they run; and the controls of each treatment.

    Raises:
        InputError: for two treatments of one name, or a regularizer whose share of the gradient is unknown.
    """
    names = [treatment.name for treatment in treatments]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"treatments name {twice[0]} twice: give one of them another name.")
    usual = Treatment("", _terms("SquaredError", strength, "strength")).placebo(PLACEBO)
    placebos: list[Treatment] = []
    controls = []
    for treatment in treatments:
        _refuse_unbalanced(treatment)
        own = treatment.placebo(PLACEBO)
        if own is not None:
            own = own if own == usual else replace(own, name=f"{PLACEBO}_of_{treatment.name}")
            placebos += [own] if own not in placebos else []
        treated = UNTREATED if treatment.name == TRAIN_ON else treatment.name
        untreated = UNTREATED if treatment.trains else BEFORE
        controls.append(Controls(treatment.name, treated, untreated, None if own is None else own.name))
    needed = {name for each in controls for name in each.arms}
    untreated_arms = [Treatment(name) for name in (BEFORE, UNTREATED) if name in needed]
    return [*untreated_arms, *placebos, *(each for each in treatments if each.name in needed)], controls


def _refuse_unbalanced(treatment: Treatment) -> None:
    for name, term in treatment.regularizer.items():
        if term.balance is None:
            raise InputError(
                f"{treatment.name}: regularizer.{name} has no balance, so no placebo can have its share; "
                "set balance: gradient, with the share as weight (strength=balanced does)."
            )


def _name(given: Mapping[str, object], where: str) -> str:
    regularizer = given.get("regularizer")
    kind = next((key for key in ("distillation", "sample") if given.get(key)), None)
    name = given.get("name") or (regularizer if isinstance(regularizer, str) else kind)
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+-]*", name):
        raise InputError(f"{where}.name takes a name for a folder, of letters, digits, _ . + and -, not {name!r}.")
    if name in (BEFORE, UNTREATED, TRAIN_ON) or name.startswith(PLACEBO):
        raise InputError(f"{where}={name}: before, none, train_on and placebo are mmspec's own names, give another.")
    return name


def _terms(regularizer: object, strength: Strength, where: str) -> dict[str, RegularizerOptions]:
    """Terms of a preset, with the shared strength; or as they are given, with what they do not say of it."""
    shared = write(strength)
    if isinstance(regularizer, str):
        preset = plain(compose("train", ["run_dir=.", "data.train=.", f"regularizer={regularizer}"]))["regularizer"]
        given = {name: {**term, **shared} for name, term in preset.items()}
    elif isinstance(regularizer, Mapping) or regularizer is None:
        given = {
            str(name): {**shared, **_mapping(term, f"{where}.{name}")} for name, term in (regularizer or {}).items()
        }
    else:
        raise InputError(f"{where} takes a name, or terms by name, not {regularizer!r}.")
    return {name: read(RegularizerOptions, term, f"{where}.{name}") for name, term in given.items()}


def _sampling(given: object, where: str) -> dict[str, Any]:
    options = _mapping(given, where)
    for key in SHARED:
        if key in options:
            raise InputError(f"{where}.{key} is the same in all arms: leave it out.")
    return options


def _mapping(given: object, where: str) -> dict[str, Any]:
    found: dict[str, Any] = checked(given, dict[str, Any], where)
    return found
