"""Write docs/performance.md from the results that `python -m benchmarks` keeps: `python -m benchmarks.page`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import goals, record
from benchmarks.gpu import TABLES
from benchmarks.timing import markdown

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
HEAD = """# Performance

`make bench` measures what follows and writes this page; `python -m benchmarks NAME` measures one table again, and
`python -m benchmarks.page` writes the page from what is kept in `benchmarks/results`. Times are processor time of one
thread where nothing else is said, ratios the median of those of interleaved rounds: both hold on a busy machine. The
wall clock of the same rounds stands beside them in the tables of figures.

## Goals

"""


def page(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page, of results by benchmark."""
    missed = [
        f"- **{goal.question}**: {goal.why}"
        for goal in goals.GOALS
        if goal.why and (values := goal.values(kept)) and not goal.met(values)
    ]
    parts = [f"{HEAD}{goals.table(kept)}"]
    if missed:
        parts.append("\n".join(["Where a goal is missed:\n", *missed]))
    parts += [section(name, result) for name, result in kept.items()]
    if "gpu" not in kept:
        rows = f"the tests, {', '.join(TABLES)} and trainings"
        parts.append(f"## gpu\n\nNot measured: no GPU was at hand yet. `make gpu` runs {rows} on one.")
    return "\n\n".join(parts) + "\n"


def section(name: str, result: Mapping[str, Any]) -> str:
    """One benchmark: its question, where it was answered, its tables and figures."""
    versions = ", ".join(f"{package} {number}" for package, number in result["versions"].items())
    threads = "one thread" if result["threads"] == 1 else f"{result['threads']} threads"
    tables = [markdown(table["header"], table["rows"]) for table in result["tables"]]
    rows = [
        [figure, f"{both['value']:.4g}", "" if both["wall"] is None else f"{both['wall']:.4g}"]
        for figure, both in result["figures"].items()
    ]
    figures = [markdown(["figure", "by the clock that counts", "by the wall clock"], rows)] if rows else []
    where = f"{result['machine']}; {threads}; {versions}; {result['seconds']} s in all."
    return "\n\n".join([f"## {name}", result["question"], where, *tables, *figures])


def main() -> None:
    PAGE.write_text(page(record.kept()), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
