"""docs/reliability.md: whatever shows a promise is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_promise_names_tests_that_are_there() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    promises = re.findall(r"^\| (?!promise|---)(.+) \| (.+) \|$", page, re.MULTILINE)
    assert len(promises) >= 10
    for promise, shown in promises:
        files = re.findall(r"`(tests/\S+\.py)`", shown)
        assert files and all((ROOT / file).is_file() for file in files), promise
