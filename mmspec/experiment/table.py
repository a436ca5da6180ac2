"""The options of a table: which runs it gathers, and where it goes."""

from dataclasses import dataclass
from pathlib import Path

from mmspec.errors import InputError


@dataclass(frozen=True)
class TableOptions:
    """The keys of conf/table.yaml, which says what they mean.

    Raises:
        InputError: if there is no folder of runs.
    """

    layout: Path
    runs: Path
    out: Path | None
    note: str | int | float | None

    def __post_init__(self) -> None:
        if not self.runs.is_dir():
            raise InputError(
                f"runs={self.runs} is no folder: give the one that holds the runs, such as a multirun's run_dir."
            )

    @property
    def file(self) -> Path:
        """Where the Markdown goes."""
        return self.out or self.runs / "table.md"
