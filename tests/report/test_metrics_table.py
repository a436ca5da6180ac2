"""Units and directions of the page's columns, as evaluation.json has them."""

from pathlib import Path

from mmspec.report.metrics_table import metrics_table
from mmspec.report.runs import ReportedRun


def run(name, **evaluation):
    evaluation = {
        "samples": {"count": 8},
        "definitions": {"bias": "A.", "error": "B in dB ; lower is better."},
    } | evaluation
    return ReportedRun(Path(name), name, {}, {}, [], evaluation, None, {})


def test_columns_have_the_units_and_arrows_of_the_evaluation():
    said = {"units": {"bias": "dB", "error": "dB"}, "better": {"bias": None, "error": "lower"}}
    runs = [(i, run(f"r{i}", metrics={"bias": i, "error": i}, **said)) for i in (1, 2)]
    table = metrics_table(runs)
    assert [(c.name, c.unit, c.arrow) for c in table.columns] == [("bias", "dB", ""), ("error", "dB", "↓")]
    assert [list(row.best) for row in table.rows] == [[False, True], [False, False]]


def test_an_older_evaluation_says_neither():
    table = metrics_table([(i, run(f"r{i}", metrics={"error": i})) for i in (1, 2)])
    assert [(c.unit, c.arrow) for c in table.columns] == [("", "")]
    assert [list(row.best) for row in table.rows] == [[False], [False]]
