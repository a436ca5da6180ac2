"""``mmspec train -m`` and ``mmspec table``: many runs by one command, and their table."""

import json
import statistics

import numpy as np
import pytest

from mmspec.cli import main
from mmspec.config import sweep
from mmspec.data import DatasetMeta, write_packed
from mmspec.errors import InputError
from mmspec.report.table import read_table

LAYOUT = """
title: FID
source: A paper, Table 1
columns:
  VE: {metric: fid, runs: ve-*}
  VP: {metric: fid, runs: vp-*}
  Recall, VP: {metric: recall, runs: vp-*, digits: 3}
rows:
  Baseline: {runs: "*-none-*", paper: {VE: 2.5, VP: 2.25}}
  Amplitude: {runs: "*-amplitude-*"}
  Amplitude and phase: {runs: "*-amplitude_phase-*"}
  Best: {best_of: "Amplitude*", paper: {VE: 2.0}}
"""
FIXED = ["run_dir=exp/runs", "data.train=data"]


@pytest.fixture
def layout(tmp_path):
    file = tmp_path / "table.yaml"
    file.write_text(LAYOUT)
    return file


def evaluated(folder, **metrics):
    folder.mkdir(parents=True)
    content = {
        "metrics": metrics,
        "definitions": {"fid": "A distance.", "recall": "A share."},
        "better": {"fid": "lower", "recall": "higher"},
    }
    (folder / "evaluation.json").write_text(json.dumps(content))


def table(folder, layout, *overrides):
    assert main(["table", f"runs={folder}", f"layout={layout}", *overrides]) == 0
    found = read_table(folder / "table.json")
    return {name: dict(zip(found.columns, cells, strict=True)) for name, cells in found.rows.items()}


def test_cells_hold_mean_and_deviation_over_seeds_beside_the_paper(tmp_path, layout, capsys):
    runs = tmp_path / "runs"
    fids = [2.31, 2.45, 2.4]
    for seed, fid in enumerate(fids):
        evaluated(runs / f"ve-none-{seed}", fid=fid)
    evaluated(runs / "vp-amplitude-weighted-0", fid=3.0, recall=0.5)
    evaluated(runs / "vp-amplitude_phase-weighted-0", fid=2.9, recall=0.4)
    (runs / "vp-none-0").mkdir()  # trained, not evaluated yet
    cells = table(runs, layout, "note='Tiny weights.'")
    assert cells["Baseline"]["VE"].mean == pytest.approx(statistics.fmean(fids))
    assert cells["Baseline"]["VE"].deviation == pytest.approx(np.std(fids, ddof=1))
    assert (cells["Baseline"]["VE"].runs, cells["Baseline"]["VE"].paper) == (3, 2.5)
    assert cells["Baseline"]["VP"].mean is None
    assert cells["Best"]["VP"].mean == 2.9 and cells["Best"]["Recall, VP"].mean == 0.5  # the lowest, the highest
    text = (runs / "table.md").read_text()
    lines = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == ["", "VE", "paper", "VP", "paper", "Recall, VP"]
    assert lines[2] == ["Baseline", "2.39 ± 0.07 (3)", "2.50", "not run here", "2.25", "not run here"]
    assert lines[5] == ["Best", "not run here", "2.00", "2.90 (1)", "", "0.500 (1)"]
    assert "- Tiny weights.\n- fid: A distance; lower is better." in text and text in capsys.readouterr().out


def test_an_older_evaluation_has_no_best(tmp_path, layout, capsys):
    runs = tmp_path / "runs"
    content = {"metrics": {"fid": 3.0}, "definitions": {"fid": "A distance; lower is better."}}
    for name in ("amplitude", "amplitude_phase"):
        (runs / f"vp-{name}-0").mkdir(parents=True)
        (runs / f"vp-{name}-0/evaluation.json").write_text(json.dumps(content))
    assert main(["table", f"runs={runs}", f"layout={layout}"]) == 2
    error = capsys.readouterr().err
    assert "whether a lower or a higher fid is better" in error and "run `mmspec evaluate`" in error
    layout.write_text(LAYOUT.replace('  Best: {best_of: "Amplitude*", paper: {VE: 2.0}}\n', ""))
    assert table(runs, layout)["Amplitude"]["VP"].mean == 3.0
    assert "- fid: A distance; lower is better.\n" in (runs / "table.md").read_text()


def test_a_signed_metric_has_no_best(tmp_path, layout, capsys):
    runs = tmp_path / "runs"
    content = {"metrics": {"fid": -3.0}, "definitions": {"fid": "A bias."}, "better": {"fid": None}}
    for name in ("amplitude", "amplitude_phase"):
        (runs / f"vp-{name}-0").mkdir(parents=True)
        (runs / f"vp-{name}-0/evaluation.json").write_text(json.dumps(content))
    assert main(["table", f"runs={runs}", f"layout={layout}"]) == 2
    assert "best_of: fid has no best value" in capsys.readouterr().err


def test_the_report_shows_the_table(tmp_path, layout):
    runs = tmp_path / "runs"
    evaluated(runs / "ve-none-0", fid=2.0)
    evaluation = {"samples": {"count": 2}, "reference": {"path": "nowhere", "count": 2}, "spectrum": None}
    evaluation["spectrum"] = {"unit": "Hz", "frequency": [0, 1], "real": [1, 1], "generated": [1, 2]}
    evaluation |= {"metrics": {"fid": 2.0}, "definitions": {"fid": "Lower is better."}, "warnings": []}
    (runs / "ve-none-0/evaluation.json").write_text(json.dumps(evaluation))
    (runs / "ve-none-0/config.yaml").write_text("data: {}\n")
    table(runs, layout)
    assert main(["report", f"runs=[{runs}/ve-none-0]", f"table={runs}/table.json", f"out={tmp_path}/page.html"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "<td>2.00 (1)</td><td>2.50</td><td>not run here</td>" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fid", "fid, unit: dB"), "columns.VE.unit is no option: expected one of metric, runs, digits."),
        (("paper: {VE: 2.0}", "paper: {XX: 2.0}"), "Best: paper: there is no column XX."),
        (("rows:", "lines:"), "is no layout of a table: expected title, columns and rows."),
        (('runs: "*-none-*"', "seeds: 3"), "rows.Baseline.seeds is no option: expected one of runs, best_of, paper."),
        (("title: FID", "title: [FID"), "is not YAML"),
    ],
)
def test_a_wrong_layout_gets_one_sentence(tmp_path, layout, capsys, change, message):
    layout.write_text(LAYOUT.replace(*change, 1))
    assert main(["table", f"runs={tmp_path}", f"layout={layout}"]) == 2
    assert message in capsys.readouterr().err


def test_a_multirun_is_all_combinations_and_none_twice():
    cfgs = sweep("train", [*FIXED, "regularizer=none,haar", "strength=weighted,unweighted", "seed=0,1"])
    names = [cfg.run_dir.removeprefix("exp/runs/") for cfg in cfgs]
    assert names == [
        "none-0",
        "none-1",
        *(f"haar-{strength}-{seed}" for strength in ("weighted", "unweighted") for seed in (0, 1)),
    ]
    terms = [cfg.regularizer.haar for cfg in cfgs[2:]]
    assert [term.balance for term in terms] == [None] * 4 and all(term.weight == 1 for term in terms)
    assert terms[0].sigma_weight.type == "EDMWeight" and terms[2].sigma_weight is None


def test_runs_are_named_after_the_ends_of_paths_and_plain_numbers():
    swept = ["init_from=choice(exp/base/vp/)", "regularizer=none,haar", "strength.weight=1e-4,1e-5"]
    cfgs = sweep("train", [*FIXED, *swept])
    assert [cfg.run_dir for cfg in cfgs] == ["exp/runs/vp-none", "exp/runs/vp-haar-0.0001", "exp/runs/vp-haar-1e-05"]
    assert [cfg.regularizer.haar.weight for cfg in cfgs[1:]] == [1e-4, 1e-5]


def test_the_name_of_a_run_does_not_depend_on_the_other_runs():
    (cfg,) = sweep("train", [*FIXED, "regularizer=choice(none)", "strength=choice(weighted)", "seed=choice(0)"])
    assert cfg.run_dir == "exp/runs/none-0"


def test_other_verbs_do_one_thing_after_the_other():
    assert [cfg["from"] for cfg in sweep("sample", ["from=a/x,b/x"])] == ["a/x", "b/x"]


def test_a_multirun_of_samples_has_a_folder_each():
    cfgs = sweep("sample", ["from=a/x", "seed=0,1", "out=there"])
    assert [(cfg.seed, cfg.out) for cfg in cfgs] == [(0, "there/0"), (1, "there/1")]
    with pytest.raises(InputError, match="two runs would be samples/final of a/x: give out=FOLDER"):
        sweep("sample", ["from=a/x", "seed=0,1"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1"], "a multirun needs an override with several values"),
        (["init_from=a/x,b/x"], "two runs would be exp/runs/x"),
        (["seed=0,1", "trainer.max_stps=2"], "trainer.max_stps"),
        (["seed=0,,1"], "seed"),
    ],
)
def test_a_wrong_multirun_gets_one_sentence(capsys, tmp_path, monkeypatch, overrides, message):
    monkeypatch.chdir(tmp_path)
    for name in ("data", "a/x", "b/x"):
        (tmp_path / name).mkdir(parents=True)
    assert main(["train", "--multirun", *FIXED, *overrides]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1


def test_a_multirun_that_was_cut_off_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    statistics_ = {"mean": 0.0, "std": 0.4, "sigma_data": 0.4}
    meta = DatasetMeta(modality="image", source="noise", statistics=statistics_)
    write_packed(tmp_path / "data", rng.integers(0, 255, (8, 8, 8, 1)).astype(np.uint8), meta=meta)
    network = ["network.model_channels=8", "network.channel_mult=[1]", "network.attention_levels=[]"]
    trainer = ["trainer.batch_size=2", "trainer.max_steps=2", "trainer.device=cpu", "trainer.tensorboard=false"]
    command = ["train", f"run_dir={tmp_path}/runs", f"data.train={tmp_path}/data", *network, *trainer]
    assert main([*command, "-m", "regularizer=none,amplitude", "seed=choice(0)"]) == 0
    done = tmp_path / "runs/none-0/checkpoints/step_00000002/model.safetensors"
    before = done.stat().st_mtime_ns
    assert main([*command, "-m", "regularizer=none,amplitude", "seed=0,1"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "amplitude-0",
        "amplitude-1",
        "none-0",
        "none-1",
    ]
    assert done.stat().st_mtime_ns == before
    assert main([*command, "-m", "regularizer=choice(none)", "seed=0,1", "trainer.learning_rate=1"]) == 2
