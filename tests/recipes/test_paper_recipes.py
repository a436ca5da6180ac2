"""The recipes of the spectral regularization paper: from base weights to its table, whatever interrupts them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmspec.data import PackedDataset
from mmspec.report.table import read_table
from tests.recipe_runs import kill_in_each_stage, run

LOOK = ["--num", "4", "--regularizers", "amplitude", "--strengths", "weighted", "sample.steps=2"]
LOOK += ["trainer.batch_size=2", "trainer.max_steps=2", "trainer.tensorboard=false"]


def pictures(folder, classes=2):
    rng = np.random.default_rng(0)
    for index in range(10):
        path = folder / f"class {index % classes}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (70, 66, 3)).astype(np.uint8)).save(path)
    return folder


class Inception(torch.nn.Module):
    """Has the interface of NVIDIA's file."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x.float(), [32, 64]).mean(1).flatten(1)


def test_killed_in_each_stage_it_goes_on_to_the_same_table(tmp_path):
    arguments = ["--data", pictures(tmp_path / "source"), *LOOK]
    assert kill_in_each_stage("afhq", *arguments, cwd=tmp_path) == [1, 2, 3, 4, 5]
    code, out, error = run("afhq", *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert "not the official ones." in out
    table = read_table(tmp_path / "exp/afhq/table.json")
    assert table.rows["Baseline"][0].paper == 2.17 and table.rows["Best of these eight"][1].paper == 2.03
    column = table.columns.index("LSD VP (dB)")
    measured = {name: cells[column].mean for name, cells in table.rows.items()}
    names = {"Base weights as they are": "vp-base-0", "Amplitude, weighted": "vp-amplitude-weighted-0"}
    assert {name for name, mean in measured.items() if mean is not None} == set(names)
    for name, folder in names.items():
        evaluation = json.loads((tmp_path / "exp/afhq/runs" / folder / "evaluation.json").read_text())
        assert measured[name] == evaluation["metrics"]["log_spectral_distance"]
    assert "not run here" in (tmp_path / "exp/afhq/report.html").read_text()
    code, out, error = run("afhq", *arguments, cwd=tmp_path)
    assert code == 0 and out.count("done before, skipped") == 3 + 2 * 2


def test_given_weights_are_converted_fine_tuned_and_judged_by_fid(tmp_path, references):
    inception = tmp_path / "inception.pt"
    torch.jit.script(Inception()).save(str(inception))
    weights = references.file("edm/edm_ncsnpp_cond_aug.pkl")
    source = pictures(tmp_path / "source", classes=10)
    arguments = ["--data", source, "--weights", weights, "--inception", inception, *LOOK]
    code, _, error = run("cifar10", *arguments, "--regularizers", "none", cwd=tmp_path)
    assert code == 0, error[-3000:]
    table = read_table(tmp_path / "exp/cifar10/table.json")
    ve, vp = table.rows["Baseline"][:2]
    assert (ve.paper, vp.paper) == (1.81, 1.84) and ve.mean > 0 and vp.mean is None
    assert not table.note and any("inception.pt" in text for text in table.definitions)
    times = [(file, file.stat().st_mtime_ns) for file in (tmp_path / "exp/cifar10").rglob("step_00000002/COMPLETE")]
    code, out, _ = run("cifar10", *arguments, "--regularizers", "none", cwd=tmp_path)
    assert code == 0 and out.count("done before, skipped") == 3 + 2 * 2
    assert times and all(file.stat().st_mtime_ns == time for file, time in times)


def test_checkerboards_are_drawn_and_learnt_from_scratch(tmp_path):
    small = ["network.model_channels=8", "network.channel_mult=[1]", "network.attention_levels=[]"]
    arguments = ["--size", 16, "--seeds", "0,1", *LOOK, "--strengths", "balanced", *small]
    arguments[arguments.index("amplitude")] = "none,amplitude_phase"
    code, _, error = run("checkerboard", *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    train, _ = PackedDataset(tmp_path / "exp/data/checkerboard/train").batch(np.arange(100))
    assert train.shape == (100, 1, 16, 16) and set(train.unique().tolist()) == {-1.0, 1.0}
    table = read_table(tmp_path / "exp/checkerboard/table.json")
    plain, placebo, gated, everywhere, _ = (row[0] for row in table.rows.values())
    assert plain.mean > 0 and gated.mean > 0 and plain.deviation > 0
    assert placebo.mean is None and everywhere.mean is None
    paired = (tmp_path / "exp/checkerboard/paired.md").read_text()
    row = next(line for line in paired.splitlines() if "log_spectral_distance" in line).split("|")
    assert [cell.strip() for cell in row[1:3]] == ["amplitude_phase-balanced", "none"]
    assert float(row[4]) == pytest.approx(gated.mean - plain.mean, abs=0.006)
    assert "placebo-balanced against none: fewer than 2 seeds" in paired
    runs = {file.parent.name for file in (tmp_path / "exp/checkerboard/runs").glob("*/evaluation.json")}
    assert runs == {"none-0", "none-1", "amplitude_phase-balanced-0", "amplitude_phase-balanced-1"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("checkerboard", ["--size", "big"], "--size must be a whole number, not 'big'."),
        ("afhq", ["--weights", "nowhere.pkl"], "--weights nowhere.pkl: no such file or folder."),
        ("cifar10", ["--inception", "nowhere.pt"], "--inception nowhere.pt: no such file."),
        ("ffhq", [], "give the pictures with --data PATH"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, name, arguments, message):
    code, _, error = run(name, *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
