"""Units and directions of the page's columns, as evaluation.json has them."""

from pathlib import Path

from mmspec.report.metrics_table import metrics_tables
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
    (table,) = metrics_tables(runs)
    assert [(c.name, c.unit, c.arrow) for c in table.columns] == [("bias", "dB", ""), ("error", "dB", "↓")]
    assert [list(row.best) for row in table.rows] == [[False, True], [False, False]]


def test_an_older_evaluation_says_neither():
    (table,) = metrics_tables([(i, run(f"r{i}", metrics={"error": i})) for i in (1, 2)])
    assert [(c.unit, c.arrow) for c in table.columns] == [("", "")]
    assert [list(row.best) for row in table.rows] == [[False], [False]]


def test_octaves_have_a_table_of_their_own():
    definitions = {"octave_error": "A.", "octave_bias_1": "To 8 Hz: B.", "octave_bias_2": "From 8 to 16 Hz: B."}
    metrics = {"octave_error": 2, "octave_bias_1": 1, "octave_bias_2": -3}
    whole = run("octaves", metrics=metrics, definitions=definitions)
    runs = [(1, whole), (2, run("none", metrics={"octave_error": 1}))]
    errors, octaves = metrics_tables(runs)
    assert [column.label for column in errors.columns] == ["Octave error"]
    assert octaves.title == "Bias by octave"
    assert [column.label for column in octaves.columns] == ["To 8 Hz", "From 8 to 16 Hz"]
    assert [list(row.values) for row in octaves.rows] == [[1, -3], [None, None]]
