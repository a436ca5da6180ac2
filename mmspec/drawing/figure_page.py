"""Where figures go: a page of their own, or a picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmspec.drawing.figure import Figure
from mmspec.drawing.pages import check_page, write_page
from mmspec.drawing.pictures import SUFFIXES, check_picture, write_picture
from mmspec.drawing.tables import TextTable
from mmspec.errors import InputError


def check_out(out: Path) -> None:
    """See, before figures are made, that they can be written.

    Raises:
        InputError: for a suffix that is neither a page's nor a picture's, or a file that mmspec did not make.
    """
    if out.suffix not in (".html", *SUFFIXES):
        raise InputError(f"out={out} must end with .html, {' or '.join(SUFFIXES)}.")
    if out.suffix == ".html":
        check_page(out)
    else:
        check_picture(out)


def write_figures(out: Path, title: str, lead: str, figures: Sequence[Figure]) -> None:
    """Write figures as a page (``.html``), or the only one as a picture (``.png``, ``.svg``).

    Raises:
        InputError: as `check_out`, or for several figures in one picture.
    """
    check_out(out)
    if out.suffix == ".html":
        write_figure_page(out, title, lead, figures)
    elif len(figures) > 1:
        raise InputError(f"out={out} is one picture, but there are {len(figures)} figures: give out=NAME.html.")
    else:
        write_picture(out, figures[0])


def write_figure_page(
    out: Path,
    title: str,
    lead: str,
    figures: Sequence[Figure],
    tables: Sequence[TextTable] = (),
    notes: Sequence[str] = (),
) -> None:
    """One HTML file with figures, tables, and notes below them.

    Raises:
        InputError: if a file is there that is no page of mmspec.
    """
    described = [replace(figure, description=f"{title}: {figure.title}") for figure in figures]
    write_page(out, "figures.html", title, lead=lead, figures=described, tables=tables, notes=notes)
