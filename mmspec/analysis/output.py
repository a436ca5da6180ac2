"""Where figures go: a page that needs nothing beside it, a picture, a table to read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmspec.errors import InputError
from mmspec.provenance import provenance
from mmspec.report.curves import Figure as PageFigure
from mmspec.report.drawing import INK, inline, line_colour
from mmspec.report.pictures import metadata

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg")


@dataclass(frozen=True)
class Plate:
    """A figure with what is said about it; ``legend`` holds (colour, label)."""

    title: str
    figure: "Figure"
    caption: str
    legend: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True)
class TextTable:
    """A table as it is read; the first text of a row names it."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def write(out: Path, title: str, lead: str, plates: Sequence[Plate]) -> None:
    """Write figures as a page (``.html``), or the only one as a picture (``.png``, ``.svg``).

    Raises:
        InputError: for another suffix, or several figures for one picture.
    """
    if out.suffix == ".html":
        write_page(out, title, lead, plates)
    elif out.suffix not in PICTURES:
        raise InputError(f"out={out} must end with .html, {' or '.join(PICTURES)}.")
    elif len(plates) > 1:
        raise InputError(f"out={out} is one picture, but there are {len(plates)} figures: give out=NAME.html.")
    else:
        write_picture(out, plates[0])


def write_page(
    out: Path,
    title: str,
    lead: str,
    plates: Sequence[Plate],
    table: TextTable | None = None,
    notes: Sequence[str] = (),
) -> None:
    """One HTML file with the figures, and a table below them; it is replaced at once or not at all."""
    made_by = provenance()
    environment = Environment(
        loader=PackageLoader("mmspec.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("figures.html").render(
        title=title,
        lead=lead,
        figures=[PageFigure(p.title, inline(p.figure, f"{title}: {p.title}"), p.caption, p.legend) for p in plates],
        table=table,
        notes=notes,
        command=made_by["command"],
        machine=made_by["machine"],
        version=made_by["versions"]["mmspec"],
        made=datetime.now(UTC),
    )
    _replace(out, html)


def write_picture(out: Path, plate: Plate) -> None:
    """One figure as a file, in light colours, its legend in it; of an SVG file `mmspec report` knows the caption."""
    from matplotlib import rc_context
    from matplotlib.lines import Line2D

    if plate.legend:
        handles = [Line2D([], [], color=line_colour(colour), label=label) for colour, label in plate.legend]
        widest = 0.5 + 0.08 * max(len(label) for _, label in plate.legend)  # inches, of a line and 9-point letters
        columns = max(1, min(4, int(plate.figure.get_figwidth() / widest)))
        legend = plate.figure.legend(
            handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize=9
        )
        for text in legend.get_texts():
            text.set_color(INK)
    out.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": str(out)}):
        said = metadata(plate.title, plate.caption) if out.suffix == ".svg" else {}
        plate.figure.savefig(out, dpi=160, metadata=said)


def markdown(table: TextTable, notes: Sequence[str] = ()) -> str:
    """A table to read as it is, with notes below."""
    rows = [list(table.headings), *map(list, table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    padded = ([text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows)
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([f"# {table.title}", "", *lines, "", *(f"- {note}" for note in notes)]) + "\n"


def write_markdown(out: Path, table: TextTable, notes: Sequence[str] = ()) -> None:
    """Write `markdown`."""
    _replace(out, markdown(table, notes))


def _replace(out: Path, text: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}")
    beside.write_text(text)
    os.replace(beside, out)
