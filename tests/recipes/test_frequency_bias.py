"""The frequency bias recipe from its first option to its table."""

import pytest

from tests.programs import BIN
from tests.recipe_runs import run

TINY = ["training.steps=2", "num=4", "length=16", "hidden.large=8", "hidden.small=4", "process.noise.timesteps=10"]


def test_it_writes_a_page_and_a_table_with_a_row_a_model(tmp_path):
    code, _, error = run("frequency_bias", "--seeds", "3,4", *TINY, cwd=tmp_path, programs=BIN)
    assert code == 0, error[-3000:]
    table = (tmp_path / "exp/frequency_bias/report.md").read_text()
    assert "| seed 3 | seed 4 | mean" in table
    models = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert models[1:4] == ["-" * len(models[1]), "real", "large"] and "small + distillation" in models
    page = (tmp_path / "exp/frequency_bias/report.html").read_text()
    assert page.count("<svg") == 3 and "cycles per signal" in page and "http" not in page.replace("http-equiv", "")
    code, out, _ = run("frequency_bias", "--seeds", "3,4", *TINY, cwd=tmp_path)
    assert code == 0 and "done before, skipped" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "a"], "--seeds must be whole numbers, such as 0,1,2, not 'a'."),
        (["--data", "x"], "unknown option --data (see --help)."),
        (["training.stepz=3"], "training.stepz"),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, arguments, message):
    code, _, error = run("frequency_bias", *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
