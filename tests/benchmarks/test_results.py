"""What benchmarks keep, the goals that it is held against, and the page that is made of both."""

import importlib
import inspect
import json
import time

import pytest
import torch

from benchmarks import gpu, on_paper, page, record
from benchmarks.__main__ import known
from benchmarks.goals import GOALS, Goal, table
from benchmarks.record import Findings, Table
from benchmarks.timing import interleave

FOUND = Findings([Table(["what", "time"], [["a", "1 ms"]])], {"a: b": (3.0, 2.5), "a: c": (2.0, None)})


def test_the_page_is_what_the_command_writes():
    assert page.PAGE.read_text(encoding="utf-8") == page.page(record.kept()), "run python -m benchmarks.page"


def test_findings_are_kept_with_where_they_were_made(tmp_path):
    record.keep("one", "How fast?", FOUND, 12.3, tmp_path)
    (kept,) = record.kept(tmp_path).values()
    assert kept["figures"] == {"a: b": {"value": 3.0, "wall": 2.5}, "a: c": {"value": 2.0, "wall": None}}
    assert kept["tables"] == [{"header": ["what", "time"], "rows": [["a", "1 ms"]]}]
    assert kept["versions"]["torch"] == torch.__version__ and "cores" in kept["machine"] and kept["seconds"] == 12
    shown = page.section("one", kept)
    for words in ("## one", "How fast?", "| a    | 1 ms |", "| a: b", "3 ", "2.5"):
        assert words in shown


def test_a_goal_is_kept_by_the_worst_of_its_figures():
    kept = {"one": {"figures": {"a: b": {"value": 3.0}, "a: c": {"value": 2.0}, "d": {"value": 0.02}}}}
    assert Goal("fast?", "one", "a: *", 2.5).row(kept) == ["fast?", "2x to 3x", "2.5x", "no"]
    assert Goal("fast?", "one", "a: b", 2.5).row(kept) == ["fast?", "3x", "2.5x", "yes"]
    assert Goal("cheap?", "one", "d", 0.01, "%").row(kept) == ["cheap?", "2%", "1%", "no"]
    assert Goal("cheap?", "two", "d", 0.01, "%").row(kept) == ["cheap?", "not measured", "1%", ""]


def test_the_page_explains_each_goal_that_is_missed():
    kept = record.kept()
    missed = [goal for goal in GOALS if (values := goal.values(kept)) and not goal.met(values)]
    assert [goal.question for goal in missed if not goal.why] == []
    assert len(table(kept).rows) == len(GOALS)


def test_goals_are_of_benchmarks_that_are_there():
    assert {goal.benchmark for goal in GOALS} <= set(known())
    for name in known():
        if name not in ("exported", "gallery"):  # which need packages
            made = importlib.import_module(f"benchmarks.{name}")
            assert made.__doc__ and inspect.signature(made.main).return_annotation is Findings, name


def test_ratios_are_medians_of_rounds_by_the_clock_that_counts():
    clock = iter(range(1000))
    times = interleave({"a": lambda: None, "b": lambda: time.sleep(1e-4)}, 3, 0, 0.0, lambda: next(clock))
    assert times.ratios("a", "b")[0] == 1.0 and times.ratios("b", "a")[1] > 1.0


def test_what_many_gpus_wait_for_is_what_the_step_does_not_hide():
    step = on_paper.Step(seconds=1.0, parameters=1e9)
    assert step.ddp(1, 1e9) == step.fsdp(1, 1e9) == 1
    sent = 2 * (3 / 4) * 4e9 / 1e9  # three quarters of the gradients, there and back
    assert step.ddp(4, 1e9, hidden=0, latency=0) == pytest.approx(1 / (1 + sent))
    assert step.ddp(4, 1e9, hidden=0.5, latency=0) == pytest.approx(1 / (1 + sent - 0.5))
    assert step.fsdp(4, 1e9, latency=0) == pytest.approx(1 / (1 + (3 / 4) * 8e9 / 1e9 - 1))
    assert step.ddp(1024, 1e9) < step.ddp(8, 1e9) < step.ddp(8, 1e10)


def test_without_a_gpu_there_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() is None
    assert capsys.readouterr().out.startswith("torch finds no GPU of CUDA here")


def test_what_a_gpu_does_on_a_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "tested", lambda device, tests: f"tested on {device}")
    tiny = ["network=unet", "network.model_channels=8", "network.channel_mult=[1]", "network.num_blocks=1"]
    tiny += ["network.attention_levels=[]", "trainer.batch_size=2", "trainer.device=cpu"]
    gpu.main("cpu", ["tests/gpu"], ["fourier_loss"], rounds=1, size=8, steps=1, words=tiny, folder=tmp_path)
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert kept["tables"][0]["rows"] == [["tests/gpu", "tested on cpu"]]
    (trained,) = kept["tables"][-1]["rows"]
    assert trained[0] == "float32" and trained[1].endswith("/s") and trained[3].endswith("GB")
    assert kept["figures"]["training float32: perf/samples_per_sec"]["value"] > 0
    assert len(kept["tables"][1]["rows"]) >= 10
