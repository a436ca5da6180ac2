"""What a measure is: a comparison of two sets of signals, whose numbers carry what they mean."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal, get_args

from mmspec.errors import InputError
from mmspec.metrics.signals import SignalSet, Statistic

Better = Literal["lower", "higher"]
Takes = Literal["stretches", "recordings", "pairs"]


@dataclass(frozen=True)
class Metric:
    """A number and what it means.

    Attributes:
        name: by which evaluation.json, tables and reports call it, such as ``frequency_error_low``.
        value: a number, kept as a float.
        definition: one sentence that says what was measured, on how many signals.
        unit: of the value, such as "dB"; empty where it has none.
        better: which values are better; None of a signed metric, which has no best.

    Raises:
        InputError: if the value is no number, or ``better`` is something else.
    """

    name: str
    value: float
    definition: str
    unit: str = ""
    better: Better | None = None

    def __post_init__(self) -> None:
        if self.better not in (*get_args(Better), None):
            raise InputError(f"{self.name}: better={self.better!r} is unknown: expected 'lower', 'higher' or None.")
        try:
            object.__setattr__(self, "value", float(self.value))
        except (TypeError, ValueError, RuntimeError):
            raise InputError(f"{self.name}: value takes a number, not {type(self.value).__name__}.") from None


@dataclass(frozen=True)
class Verdict:
    """Metrics, what to mind when reading them, and why others are missing."""

    metrics: list[Metric] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(self.metrics + other.metrics, self.warnings + other.warnings, self.failures + other.failures)


class Measure(ABC):
    """Compares generated signals with real ones.

    Attributes:
        takes: which sets of signals. "stretches": signals of one size, in batches ``[B, C, *spatial]``; where ``crop``
            is given, stretches of recordings, side by side. "recordings": whole ones, each as long as it is, ``[1, C,
            T]``; in batches where a set does not say how long they are. "pairs": sets of which the n-th real signal is
            what the n-th generated one should be, padded to one length.
        statistics: of a set that it reads by `SignalSet.statistic`; one pass over the set finds those of all measures
            of mmspec.
    """

    takes: Takes = "stretches"
    statistics: Sequence[Callable[[SignalSet], Statistic[Any]]] = ()

    @abstractmethod
    def compare(self, real: SignalSet, generated: SignalSet) -> Metric | Verdict:
        """One metric, or a verdict of several metrics and warnings."""

    def verdict(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """What `compare` finds, whose definitions say where the signals are stretches, and warnings what is not finite.

        Raises:
            InputError: if `compare` returns something else than it should.
        """
        found = self.compare(real, generated)
        if isinstance(found, Metric):
            found = Verdict([found])
        if not isinstance(found, Verdict):
            kind = type(found).__name__
            raise InputError(f"{type(self).__name__}.compare must return a Metric or a Verdict, it returned {kind}.")
        odd = [
            f"{metric.name} is {metric.value}, no finite number."
            for metric in found.metrics
            if not isfinite(metric.value)
        ]
        found = found + Verdict(warnings=odd)
        if not real.note:
            return found
        said = [replace(metric, definition=f"{metric.definition} {real.note}") for metric in found.metrics]
        return Verdict(said, found.warnings)
