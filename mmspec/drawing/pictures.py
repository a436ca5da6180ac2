"""Figures as files that carry their title and caption; those in SVG come back into a page."""

import io
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from mmspec.drawing.figure import Figure
from mmspec.drawing.inline_svg import as_inline
from mmspec.drawing.own_files import refuse_other
from mmspec.drawing.plain_svg import parsed, written
from mmspec.drawing.style import INK, line_colour
from mmspec.errors import InputError
from mmspec.files import replace_bytes
from mmspec.strangers import read_document

SUFFIXES = (".png", ".svg")
CREATOR = "mmspec analyze"
SVG_BYTES = 4 << 20  # many times a figure of ours; each byte of it may take fifty in memory
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


def write_picture(out: Path, figure: Figure) -> None:
    """One figure as a ``.png`` or ``.svg`` file, in light colours, its legend in it.

    Raises:
        InputError: if a file is there that is no picture of mmspec.
        TypeError: if the figure's drawing is not matplotlib's.
    """
    if isinstance(figure.drawing, Markup):
        raise TypeError("only a drawing of matplotlib's can be written as a picture.")
    from matplotlib import rc_context

    check_picture(out)
    _draw_legend(figure)
    buffer = io.BytesIO()
    said = {"Title": figure.title, "Description": figure.caption, "Creator": CREATOR}
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": str(out)}):
        figure.drawing.savefig(buffer, format=out.suffix[1:], dpi=160, metadata=said)
    replace_bytes(out, buffer.getvalue())


def read_picture(file: Path) -> Figure:
    """A picture with its title and caption.

    Raises:
        InputError: unless it is an SVG file of ``mmspec analyze``, with nothing in it that `write_picture` does not
            write.
    """
    said = _said(file)
    if said.get("creator") != CREATOR:
        raise _refused(file)
    try:
        svg = written(parsed(_text(file)))
    except ValueError as error:
        raise _refused(file, f"{error}, which no such picture has; ") from None
    title = said.get("title", file.stem)
    return Figure(title, as_inline(svg, title), said.get("description", ""))


def check_picture(out: Path) -> None:
    """Raise InputError if a file is there that `write_picture` did not write."""
    refuse_other(out, _is_picture, "picture")


def _is_picture(file: Path) -> bool:
    if file.suffix == ".svg":
        return _said(file).get("creator") == CREATOR
    try:
        with Image.open(file) as picture:
            return picture.info.get("Creator") == CREATOR
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def _said(file: Path) -> dict[str, str]:
    """Title, description and creator of an SVG file; nothing of another."""
    try:
        root = parsed(_text(file))
    except (OSError, ValueError):
        return {}
    found = {tag: root.find(f".//{DUBLIN_CORE}{tag}") for tag in ("title", "description", "creator")}
    return {tag: "".join(element.itertext()).strip() for tag, element in found.items() if element is not None}


def _text(file: Path) -> str:
    return read_document(file, SVG_BYTES).decode()


def _refused(file: Path, reason: str = "") -> InputError:
    if not file.exists():
        return InputError(f"{file} is not there: make it with `mmspec analyze ... out=NAME.svg`.")
    return InputError(
        f"{file} is no picture of mmspec analyze: {reason}make it with `mmspec analyze ... out=NAME.svg`."
    )


def _draw_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    if isinstance(figure.drawing, Markup) or not figure.legend:
        return
    handles = [Line2D([], [], color=line_colour(colour), label=label) for colour, label in figure.legend]
    widest = 0.5 + 0.08 * max(len(label) for _, label in figure.legend)  # inches, of a line and 9-point letters
    columns = max(1, min(4, int(figure.drawing.get_figwidth() / widest)))
    legend = figure.drawing.legend(handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_color(INK)
