"""Code of somebody's own that fails: one sentence that says where, and nothing else is lost."""

import json
import math

import pytest

from mmspec.cli import main
from mmspec.experiment.experiment import Experiment
from mmspec.typed import read
from tests.faults.test_command_faults import SMALL, packed, refused, train

MEASURES = """
import torch
from mmspec.metrics.measure import Measure, Metric, Verdict

def broken(signals):
    raise LookupError("no such bin")

class BrokenOfMine(Measure):
    def compare(self, real, generated):
        return {}["missing"]

class BrokenStatisticOfMine(Measure):
    statistics = (broken,)
    def compare(self, real, generated):
        return Metric("never", real.statistic(broken), "Nothing.")

class LeavesOfMine(Measure):
    def compare(self, real, generated):
        raise SystemExit(7)

class NoNumberOfMine(Measure):
    def compare(self, real, generated):
        return Metric("no_number", float("nan"), "A ratio of nothing to nothing.")

class PixelsOfMine(Measure):
    def compare(self, real, generated):
        return Metric("pixels", real.shape[-1], "Pixels of a row.")
"""
LOSS = """
from mmspec.losses import SpectralLoss

class FailingOfMine(SpectralLoss):
    def distance(self, x, y):
        return x.flatten(1).mean(1) + self.nothing
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def measures(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugins") / "measures of mine.py"
    file.write_text(MEASURES)
    return file


def judge(data, out, *words):
    return ["evaluate", f"samples={data}", f"reference={data}", f"out={out}", "extractors.cache=null", *map(str, words)]


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("BrokenOfMine", "BrokenOfMine.compare of the plug-in {file}, line 10, failed (KeyError: 'missing')"),
        ("BrokenStatisticOfMine", "broken of the plug-in {file}, line 6, failed (LookupError: no such bin)"),
        ("LeavesOfMine", "LeavesOfMine.compare of the plug-in {file}, line 19, failed (SystemExit: 7)"),
    ],
)
def test_a_measure_that_fails_costs_no_other_its_metrics(data, measures, tmp_path, capsys, measure, said):
    assert main(judge(data, tmp_path / "without.json", f"train={data}")) == 0
    words = judge(data, tmp_path / "with.json", f"train={data}", f"plugins=[{measures}]")
    sentence = refused(capsys, *words, f"measures=[{measure},PixelsOfMine]")
    said = said.format(file=measures)
    assert "with.json lacks metrics of 1 measure(s): " in sentence and said in sentence
    without, found = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("without", "with"))
    assert found["metrics"] == {**without["metrics"], "pixels": 16.0}
    assert found["real_vs_real"]["metrics"] == {**without["real_vs_real"]["metrics"], "pixels": 16.0}
    assert len([each for each in found["warnings"] if said in each]) == 1


def test_a_traceback_is_shown_to_who_asks(data, measures, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSPEC_TRACEBACK", "1")
    with pytest.raises(KeyError, match="missing"):
        main(judge(data, tmp_path / "e.json", f"plugins=[{measures}]", "measures=BrokenOfMine"))
    assert not (tmp_path / "e.json").exists()


def test_a_metric_that_is_no_number_is_said(data, measures, tmp_path):
    assert main(judge(data, tmp_path / "e.json", f"plugins={measures}", "measures=NoNumberOfMine")) == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert math.isnan(found["metrics"]["no_number"])
    assert "no_number is nan, no finite number." in found["warnings"]


def test_a_loss_that_fails_is_one_sentence(data, tmp_path, capsys):
    file = tmp_path / "losses.py"
    file.write_text(LOSS)
    words = [f"run_dir={tmp_path / 'run'}", f"data.train={data}", *SMALL, "regularizer=FailingOfMine"]
    said = refused(capsys, "train", f"plugins=[{file}]", *words)
    assert f"FailingOfMine.distance of the plug-in {file}, line 6, failed (AttributeError: " in said
    assert "MMSPEC_TRACEBACK=1" in said


# Names alone


def test_a_name_alone_is_a_part_without_arguments():
    config = {
        "run_dir": "r",
        "data": {"train": "d"},
        "network": "UNet",
        "process": "EDM",
        "conditioner": None,
        "regularizer": {"mine": {"loss": "FourierAmplitudeLoss", "sigma_weight": "P2Weight"}},
        "distillation": {},
        "sampler": "Heun",
        "trainer": {"max_steps": 2},
        "first_stage": {},
        "objective": {"weighting": "EDMWeight"},
        "preview": {},
    }
    found = read(Experiment, config)
    assert found.objective.weighting.write() == {"type": "EDMWeight"} and found.sampler.name == "Heun"
    assert found.regularizer["mine"].sigma_weight.name == "P2Weight"


def test_weights_of_noise_levels_may_be_named_alone(data, tmp_path, capsys):
    words = ["objective.weighting=EDMWeight", "regularizer=amplitude", "strength.sigma_weight=P2Weight"]
    assert train(tmp_path / "run", data, *words) == 0
    said = refused(capsys, "train", f"run_dir={tmp_path / 'b'}", f"data.train={data}", *SMALL, "objective.weighting=P3")
    assert "objective.weighting.type=P3 is unknown: " in said and "P2Weight" in said
    said = refused(capsys, "train", f"run_dir={tmp_path / 'b'}", f"data.train={data}", *SMALL, "objective.weighting=3")
    assert "objective.weighting takes a name or {type: NAME, ...} or null, not 3" in said
