"""The options of a report: which runs it shows, and where it goes."""

import os
from dataclasses import dataclass
from pathlib import Path

from mmspec.errors import InputError


@dataclass(frozen=True)
class ReportOptions:
    """The keys of conf/report.yaml, which says what they mean.

    Raises:
        InputError: if there are no runs, or no samples to show.
    """

    runs: tuple[str, ...] | str
    out: Path | None
    title: str | int | float | None
    max_samples: int | None
    table: Path | None
    figures: tuple[Path, ...]
    lead: str | None = None
    names: tuple[str, ...] = ()
    verifications: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError("runs=[] names no run: give runs=[FOLDER,FOLDER].")
        if self.names and len(set(self.names)) != len(self.folders):
            raise InputError(
                f"names=[{','.join(self.names)}] must be {len(self.folders)} different names, one for each of runs."
            )
        if self.max_samples is not None and self.max_samples < 1:
            raise InputError(f"max_samples must be 1 or more, not {self.max_samples}.")

    @property
    def folders(self) -> list[Path]:
        """Of the runs, in the order shown."""
        return [Path(folder) for folder in ([self.runs] if isinstance(self.runs, str) else self.runs)]

    @property
    def home(self) -> Path:
        """The run, or the folder that holds several."""
        folders = self.folders
        if len(folders) == 1:
            return folders[0]
        return Path(os.path.commonpath([folder.resolve() for folder in folders]))

    @property
    def page(self) -> Path:
        """Where the page goes."""
        return self.out or self.home / "report.html"

    @property
    def heading(self) -> str:
        """Of the page."""
        return str(self.title or self.home.resolve().name)
