"""Pictures that ``mmspec analyze`` made, for a page: SVG files that carry their title and caption."""

from pathlib import Path
from xml.etree import ElementTree

from mmspec.errors import InputError
from mmspec.report.curves import Figure
from mmspec.report.drawing import inline_svg

CREATOR = "mmspec analyze"
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


def metadata(title: str, caption: str) -> dict[str, str]:
    """What matplotlib writes into an SVG file, so that `read_picture` knows it."""
    return {"Title": title, "Description": caption, "Creator": CREATOR}


def read_picture(file: Path) -> Figure:
    """A picture with its title and caption.

    Raises:
        InputError: unless it is an SVG file of ``mmspec analyze``.
    """
    try:
        svg = file.read_text()
        root = ElementTree.fromstring(svg)
    except (OSError, UnicodeDecodeError, ElementTree.ParseError):
        root = None
    found = {tag: root.find(f".//{DUBLIN_CORE}{tag}") for tag in ("title", "description", "creator")} if root else {}
    texts = {tag: "".join(element.itertext()).strip() for tag, element in found.items() if element is not None}
    if texts.get("creator") != CREATOR:
        raise InputError(f"{file} is no picture of mmspec analyze: make it with `mmspec analyze ... out=NAME.svg`.")
    title = texts.get("title", file.stem)
    return Figure(title, inline_svg(svg, title), texts.get("description", ""), ())
