"""What is prescribed for which findings: a table."""

import pytest
import torch

from mmspec.diagnosis.denoising import Bias
from mmspec.diagnosis.findings import Axis, Finding
from mmspec.diagnosis.prescription import Prescription, Teaching, prescriptions
from mmspec.metrics.statistics import Interval

AXIS = Axis([0, 4, 8, 16, 32], "cycles per image")
SOME = Interval(-2.0, -1.0)


def finding(kind, octaves=(8, 32), sigmas=(0.02, 0.3), gain_mends=False):
    return Finding(kind, kind, octaves, sigmas if kind in ("noisy", "dull") else None, -1.5, SOME, gain_mends)


NOISY = finding("noisy", gain_mends=True)
DAMPED = finding("dull", gain_mends=True)
MISSING = finding("dull")
STAGE, SAMPLES = finding("first_stage"), finding("samples")


@pytest.mark.parametrize(
    ("found", "remedies"),
    [
        ([], []),
        ([NOISY], ["train_on", "correction"]),
        ([NOISY, DAMPED, SAMPLES], ["train_on", "correction"]),
        ([DAMPED], ["correction", "regularizer"]),
        ([DAMPED, SAMPLES], ["correction", "regularizer"]),
        ([MISSING], ["regularizer"]),
        ([STAGE], ["first_stage"]),
        ([STAGE, STAGE, SAMPLES], ["first_stage"]),
        ([DAMPED, STAGE], ["correction", "regularizer", "first_stage"]),
        ([SAMPLES, SAMPLES], ["more_steps"]),
    ],
)
def test_what_is_found_has_its_remedies(found, remedies):
    prescribed = prescriptions(found)
    assert [each.remedy for each in prescribed] == remedies
    assert all(each.reason for each in prescribed)


def test_the_gate_is_where_it_is_dull():
    (regularizer,) = prescriptions([MISSING])
    assert regularizer.gate == 0.3 and "up to sigma 0.3" in regularizer.reason


def teaching(*decibels, width=0.1):
    error = torch.tensor(decibels, dtype=torch.float64)
    return Teaching(AXIS, Bias(error, error - width, error + width))


@pytest.mark.parametrize(
    ("errors", "octaves"),
    [
        ((-1.0, -1.0, -1.0, -2.0), (1, 2)),  # dull in the two highest alone
        ((-1.0, -1.0, -1.0, 2.0), (2,)),
        ((-1.0, -1.0, 0.0, 0.0), ()),
        ((0.0, 0.0, -0.4, -0.4), ()),  # less than half a decibel
    ],
)
def test_a_teacher_teaches_dull_octaves_in_which_it_errs_less(errors, octaves):
    taught = [each.octaves for each in prescriptions([MISSING], teaching(*errors)) if each.remedy == "distillation"]
    assert taught == ([octaves] if octaves else [])


def test_a_teacher_that_may_be_no_better_teaches_nothing():
    assert teaching(-1, -1, -1, -1, width=1.1).octaves == []
    assert [each.remedy for each in prescriptions([MISSING], teaching(-1, -1, -1, -1, width=1.1))] == ["regularizer"]


def test_who_is_too_noisy_is_taught_nothing_yet():
    prescribed = prescriptions([NOISY, MISSING], teaching(-3, -3, -3, -3))
    assert [each.remedy for each in prescribed] == ["train_on", "correction"]
    assert prescribed[0] == Prescription("train_on", prescribed[0].reason)
