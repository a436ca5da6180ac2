"""What to do about what was found, and why.

| what is found | what is prescribed |
|---|---|
| nothing | nothing |
| too noisy | to train on |
| too noisy, or damped | the calibrated correction while sampling, which trains nothing |
| dull, and nowhere too noisy | a regularizer gated where it is dull; a teacher, in dull octaves in which it errs less |
| the first stage loses or adds energy | another first stage, or its decoder trained further |
| samples differ, and nothing else does | more steps of the sampler |

Who is too noisy has not been trained enough, and what regularizers do then says little of what they do later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmspec.diagnosis.denoising import Bias
from mmspec.diagnosis.findings import Axis, Finding, below

Remedy = Literal["train_on", "correction", "regularizer", "distillation", "first_stage", "more_steps"]


@dataclass(frozen=True)
class Teaching:
    """How far a teacher errs beside its student.

    Attributes:
        axis: the octaves.
        error: the teacher's share of the training loss over the student's, in dB, ``[octaves]``.
    """

    axis: Axis
    error: Bias

    @property
    def octaves(self) -> list[int]:
        """Those in which the teacher knows more: its error is lower for sure, by half a decibel or more."""
        return [octave for octave, is_lower in enumerate(below(self.error).tolist()) if is_lower]

    def from_highest(self, octaves: Iterable[int]) -> tuple[int, ...]:
        """The same octaves as ``distillation.octaves`` counts them: down from the highest, 1."""
        count = len(self.axis.edges) - 1
        return tuple(sorted(count - octave for octave in octaves))


@dataclass(frozen=True)
class Prescription:
    """A treatment.

    Attributes:
        remedy: which.
        reason: in words.
        gate: of a regularizer, the noise level up to which it has its full weight.
        octaves: of distillation, those that are taught, counted from the highest, 1.
    """

    remedy: Remedy
    reason: str
    gate: float | None = None
    octaves: tuple[int, ...] = ()


def prescriptions(found: Sequence[Finding], teaching: Teaching | None = None) -> list[Prescription]:
    """What is to be done, by the rules above; nothing where nothing was found.

    Args:
        found: what is wrong.
        teaching: of a teacher that could be learnt from.
    """
    of_kind = {kind: [each for each in found if each.kind == kind] for kind in ("noisy", "dull", "first_stage")}
    prescribed = []
    if of_kind["noisy"]:
        prescribed.append(Prescription("train_on", "it keeps noise, as a denoiser does that was not trained enough"))
    if any(each.gain_mends for each in found):
        reason = "a gain for each octave and noise level gives what it puts out the right energy, and trains nothing"
        prescribed.append(Prescription("correction", reason))
    if not of_kind["noisy"]:
        prescribed += [each for finding in of_kind["dull"] for each in _of_dull(finding, teaching)]
    if of_kind["first_stage"]:
        reason = (
            "no treatment of the denoiser brings back what its first stage changes: take another, or train its decoder "
            "further; verify trains denoisers only, so see with `mmspec diagnose` whether it helped"
        )
        prescribed.append(Prescription("first_stage", reason))
    if found and all(each.kind == "samples" for each in found):
        reason = "the denoiser is right and its samples are not, so the steps of the sampler are too coarse"
        prescribed.append(Prescription("more_steps", reason))
    return prescribed


def _of_dull(finding: Finding, teaching: Teaching | None) -> list[Prescription]:
    assert finding.sigmas is not None
    gate = finding.sigmas[1]
    reason = f"amplitude and phase count besides the error, most up to sigma {gate:.2g}, where it is dull"
    prescribed = [Prescription("regularizer", reason, gate=gate)]
    if teaching is None:
        return prescribed
    taught = sorted(set(teaching.octaves) & set(teaching.axis.within(*finding.octaves)))
    if taught:
        least = max(teaching.error.decibels[taught].tolist())
        reason = f"the teacher errs less {teaching.axis.where(taught)} (by {-least:.1f} dB or more), where it is dull"
        prescribed.append(Prescription("distillation", reason, octaves=teaching.from_highest(taught)))
    return prescribed
