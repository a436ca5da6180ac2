"""Tables as they are read: rows of texts, and Markdown whose columns are aligned."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmspec.drawing.own_files import refuse_other
from mmspec.files import replace_text


@dataclass(frozen=True)
class TextTable:
    """A table of texts; the first of a row names it."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def turned(table: TextTable) -> TextTable:
    """Its rows as columns."""
    headings, *rows = zip(table.headings, *table.rows, strict=True)
    return TextTable(table.title, headings, rows)


def columns(table: TextTable) -> str:
    """A table for a terminal: the first column begins at the left, all others end at the right."""
    rows = [list(table.headings), *map(list, table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def markdown(table: TextTable, notes: Sequence[str] = ()) -> str:
    """A table to read as it is, with notes below."""
    rows = [list(table.headings), *map(list, table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    padded = ([text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows)
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([f"# {table.title}", "", *lines, "", *(f"- {note}" for note in notes)]) + "\n"


def write_markdown(out: Path, text: str) -> None:
    """Write what `markdown` returned.

    Raises:
        InputError: if a file is there that is no such table.
    """
    check_markdown(out)
    replace_text(out, text)


def check_markdown(out: Path) -> None:
    """Raise InputError if a file is there that is no such table."""
    refuse_other(out, _is_markdown, "table")


def _is_markdown(file: Path) -> bool:
    """Whether it holds a title, a table of aligned columns and notes, and nothing else."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    found = re.fullmatch(r"# .*\n\n((?:\| .* \|\n){2,})\n(?:- (?:.+\n)+)?", text)
    lines = found[1].rstrip().split("\n") if found else []
    return bool(lines) and len(set(map(len, lines))) == 1 and re.fullmatch(r"\|(?: -* \|)+", lines[1]) is not None
