"""The frame of all pages: one HTML file that needs nothing beside it, and says what made it."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmspec.drawing.own_files import refuse_other
from mmspec.files import replace_text
from mmspec.provenance import provenance

GENERATOR = '<meta name="generator" content="mmspec '


def write_page(out: Path, template: str, title: str, **values: Any) -> None:
    """Write a page, which is replaced at once or not at all.

    Args:
        out: the HTML file.
        template: a file of ``templates/`` that extends ``base.html``.
        title: heading of the page.
        values: what else the template shows.

    Raises:
        InputError: if a file is there that is no page of mmspec.
    """
    check_page(out)
    made_by = provenance()
    html = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            command=made_by["command"],
            machine=made_by["machine"],
            version=made_by["versions"]["mmspec"],
            made=datetime.now(UTC),
            **values,
        )
    )
    replace_text(out, html)


def check_page(out: Path) -> None:
    """Raise InputError if a file is there that is no page of mmspec."""
    refuse_other(out, _is_page, "page")


def _is_page(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8") as page:
            return GENERATOR in page.read(1000)
    except (OSError, UnicodeDecodeError):
        return False


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mmspec.drawing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(name: str) -> Markup:
    """The name of a run or a key, which a narrow column breaks between its words."""
    return Markup("<wbr>").join(re.split(r"(?<=[._/-])(?=\w)", name))
