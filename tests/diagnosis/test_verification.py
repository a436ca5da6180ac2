"""What is said of a treatment, on numbers that are made up."""

import pytest
import torch
from scipy import stats

from mmspec.diagnosis.verification import Arm, judge

BETTER = {"octave_error": "lower", "frechet_distance": "lower", "recall": "higher"}
WOBBLE = torch.tensor([0.02, -0.01, 0.03, -0.03, -0.01])  # of five seeds, mean 0


def arm(name, error, bias=(1.0, -1.0), seeds=5, **others):
    values = {"octave_error": torch.full((seeds,), float(error)), **others}
    return Arm(name, values, torch.tensor([list(bias)] * seeds))


def moved(name, by, **others):
    """An arm whose error differs from 1 by ``by``, and from seed to seed."""
    return Arm(name, {"octave_error": 1 + by + WOBBLE, **others}, torch.tensor([[1.0, -1.0]] * 5))


NONE = arm("none", 1)


def test_what_beats_none_and_placebo_helps():
    found = judge(moved("haar", -0.5), NONE, arm("placebo", 0.9), BETTER)
    assert (found.verdict, found.none.finding, found.placebo.finding) == ("helps", "better", "better")
    assert found.sentence.startswith("haar helps: the mean size of the bias by octave differs by -0.5 dB (-0.5")
    assert "by -0.4 dB" in found.sentence and "could have seen" not in found.sentence


def test_the_interval_is_about_students():
    low, high = stats.t.interval(0.95, 4, -0.5, stats.sem(WOBBLE.numpy()))
    found = judge(moved("haar", -0.5), NONE, None, BETTER).none.differences["octave_error"].interval
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


def test_what_does_not_beat_the_placebo_is_said_so():
    found = judge(moved("haar", -0.5), NONE, arm("placebo", 0.5), BETTER)
    assert (found.verdict, found.none.finding, found.placebo.finding) == ("not shown", "better", "not shown")
    assert "haar is not shown to help or harm" in found.sentence and "the placebo does as much" in found.sentence


def test_what_is_worse_than_the_placebo_is_not_better_for_beating_none():
    assert judge(moved("haar", -0.5), NONE, arm("placebo", 0.2), BETTER).verdict == "not shown"


def test_harm_is_told_whatever_the_placebo_does():
    alone = judge(moved("haar", 0.5), NONE, arm("placebo", 1), BETTER)
    both = judge(moved("haar", 0.5), NONE, arm("placebo", 1.5), BETTER)
    assert alone.verdict == both.verdict == "harms"
    assert "as much" not in alone.sentence and "the placebo does as much" in both.sentence


def test_what_was_not_seen_comes_with_what_could_have_been():
    found = judge(moved("haar", 0.001), NONE, arm("placebo", 1), BETTER)
    seen = found.none.differences["octave_error"]
    assert found.verdict == "not shown" and 0 in seen.interval
    assert seen.detectable == pytest.approx(1.68 * WOBBLE.std().item(), rel=0.02)  # a paired t-test of 5, 80% power
    assert f"5 seeds could have seen {seen.detectable:.2g} dB" in found.sentence


def test_an_arm_that_changes_nothing_is_not_shown():
    assert judge(arm("haar", 1), NONE, None, BETTER).verdict == "not shown"


def test_an_octave_counts_by_the_size_of_its_bias_whatever_its_sign():
    treated = arm("haar", 1, bias=(0.2, -1.4))
    found = judge(treated, NONE, None, BETTER, ("0 to 8", "8 to 16")).none
    assert [each.mean for each in found.octaves] == pytest.approx([-0.8, 0.4], abs=1e-6)
    assert found.changed == ([], [0, 1])
    said = judge(treated, NONE, None, BETTER, ("0 to 8", "8 to 16")).sentence
    assert "; better: 0 to 8 -0.8 dB (" in said and "; worse: 8 to 16 +0.4 dB (" in said


def test_octaves_are_corrected_for_their_number():
    difference = 0.05 + WOBBLE  # of one octave among many: significant alone, not among 12
    few = Arm("haar", NONE.values, torch.stack([1 + difference, torch.ones(5)], 1))
    many = Arm("haar", NONE.values, torch.cat([1 + difference[:, None], torch.ones(5, 11)], 1))
    single = Arm("haar", NONE.values, 1 + difference[:, None])
    ones = [Arm("none", NONE.values, torch.ones(5, count)) for count in (1, 2, 12)]
    widths = []
    for treated, none in zip((single, few, many), ones, strict=True):
        interval = judge(treated, none, None, BETTER).none.octaves[0].interval
        widths.append(interval.high - interval.low)
    assert widths[0] < widths[1] < widths[2]
    assert judge(single, ones[0], None, BETTER).none.changed[1] == [0]
    assert judge(many, ones[2], None, BETTER).none.changed[1] == []


def test_measures_of_which_more_is_better_and_pairs_of_signals_are_told_beside():
    signals = torch.linspace(0, 1, 8).expand(5, 8)
    none = arm("none", 1, recall=torch.full((5,), 0.5), frechet_distance=signals)
    treated = moved("haar", -0.5, recall=torch.full((5,), 0.7), frechet_distance=signals + 1)
    found = judge(treated, none, None, BETTER)
    assert found.none.changed[0] == ["frechet_distance", "recall"] and found.verdict == "helps"
    better, worse = found.sentence.split("; ")[-2:]
    assert better.startswith("better: recall +0.2 (") and worse.startswith("worse: frechet_distance +1 (")


def test_more_of_what_should_be_more_is_better():
    more = {"octave_error": "higher"}
    assert judge(moved("haar", 0.5), NONE, None, more).verdict == "helps"


def test_one_seed_and_other_seeds_are_refused():
    with pytest.raises(ValueError, match="1 seeds are too few: 2 or more are needed"):
        judge(arm("haar", 1, seeds=1), arm("none", 1, seeds=1), None, BETTER)
    with pytest.raises(ValueError, match="octave_error of haar and none must be of the same seeds"):
        judge(arm("haar", 1, seeds=3), NONE, None, BETTER)
