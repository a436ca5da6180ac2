"""What became of every file of a source, kept on disk: memory stays flat, and what was cut off goes on."""

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.captions import stem
from data_prep.samples import Caption, DatasetLabels, Decoded, EncodedSample, Rejected, Sample
from mmspec.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS members (
    number INTEGER PRIMARY KEY, name TEXT, stem TEXT, side TEXT, start INTEGER, size INTEGER, checksum INTEGER,
    shape TEXT, total REAL, squares REAL, label TEXT, length INTEGER, converted TEXT,
    reason TEXT, detail TEXT, listed TEXT);
CREATE TABLE IF NOT EXISTS captions (stem TEXT PRIMARY KEY, text TEXT);
"""
AT_A_TIME = 1000  # members between two moments at which all is on the disk
USED = "size IS NOT NULL AND reason IS NULL"
NOTHING = np.empty(0)


class Journal:
    """A database of the members of a source, and beside it the contents of their samples, one after the other.

    Args:
        folder: in which both are; what an earlier process left there is gone on with.
    """

    def __init__(self, folder: Path) -> None:
        self.contents, self.files = folder / "contents", (folder / "contents", folder / "journal.sqlite")
        self._base = sqlite3.connect(self.files[1])
        self._base.executescript(SCHEMA)
        (self._end,) = self._base.execute("SELECT coalesce(max(start + size), 0) FROM members").fetchone()
        (self.done,) = self._base.execute("SELECT count(*) FROM members").fetchone()
        self.contents.touch()
        if self.contents.stat().st_size < self._end:
            raise InputError(f"{self.contents} is shorter than its journal says: delete its folder and begin anew.")
        os.truncate(self.contents, self._end)

    def record(self, outcomes: Iterable[tuple[str, str, Decoded | Rejected]]) -> None:
        """Add what became of members, each with its side."""
        with self.contents.open("ab") as file:
            for number, (name, side, outcome) in enumerate(outcomes, self.done + 1):
                if isinstance(outcome, EncodedSample):
                    file.write(outcome.content)
                self._add(number, name, side, outcome)
                if number % AT_A_TIME == 0:
                    self._settle(file.fileno(), file.flush)
            self._settle(file.fileno(), file.flush)

    def _settle(self, descriptor: int, flush: Any) -> None:
        flush()
        os.fdatasync(descriptor)
        self._base.commit()

    def _add(self, number: int, name: str, side: str, outcome: Decoded | Rejected) -> None:
        row: dict[str, Any] = {"number": number, "name": name, "stem": stem(name), "side": side}
        if isinstance(outcome, EncodedSample):
            row |= {"start": self._end, "size": len(outcome.content), "checksum": zlib.crc32(outcome.content)}
            row |= {"shape": json.dumps(outcome.shape), "total": outcome.total, "squares": outcome.squares}
            row |= {"label": outcome.label, "length": outcome.length, "converted": json.dumps(outcome.converted)}
            self._end += len(outcome.content)
        elif isinstance(outcome, Rejected):
            row |= {"reason": outcome.reason, "detail": outcome.detail}
        elif isinstance(outcome, DatasetLabels):
            row["listed"] = json.dumps(outcome.of_file)
        elif isinstance(outcome, Caption):
            self._base.execute("INSERT OR REPLACE INTO captions VALUES (?, ?)", (stem(name), outcome.text))
        columns = ", ".join(row)
        self._base.execute(f"INSERT INTO members ({columns}) VALUES (:{', :'.join(row)})", row)

    def outcomes(self) -> Iterator[tuple[str, Decoded | Rejected]]:
        """Names with what became of them, captions aside, in the order of the source; samples without their data."""
        for name, size, reason, detail, listed in self.ask(
            "SELECT name, size, reason, detail, listed FROM members ORDER BY number"
        ):
            if size is not None:
                yield name, Sample(NOTHING)
            elif reason is not None:
                yield name, Rejected(reason, detail)
            elif listed is not None:
                yield name, DatasetLabels(json.loads(listed))

    def ask(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Rows of a query."""
        return self._base.execute(query, values)

    def change(self, statement: str, rows: Iterable[Sequence[Any]] = ((),)) -> None:
        """Run a statement for each of some rows."""
        self._base.executemany(statement, rows)
        self._base.commit()

    def delete(self) -> None:
        """Once it is needed no more."""
        self._base.close()
        for file in self.files:
            file.unlink()
