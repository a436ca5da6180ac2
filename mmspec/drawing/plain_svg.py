"""The SVG that matplotlib writes for our figures, and nothing else: a file may come from anybody, and a page that holds
it would run its scripts and fetch what it names.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_ELEMENTS = ("defs", "g", "path", "use", "clipPath", "rect", "image", "text", "tspan")
_LEFT_OUT = tuple(_SVG + name for name in ("metadata", "title", "style"))  # which a page has in other ways
_DEPTH = 32  # matplotlib's files have less than ten

_PLAIN = r"[\w\s.,#%+'-]*"  # no function, no place elsewhere, no escape
_WITHIN = r"url\(#[\w.-]+\)"
_ATTRIBUTES: Mapping[str, str] = {
    **dict.fromkeys(("d", "x", "y", "width", "height", "viewBox", "version", "id"), _PLAIN),
    "transform": r"[\w\s.,+()-]*",
    "clip-path": _WITHIN,
    f"{_XLINK}href": r"#[\w.-]+|data:image/png;base64,[A-Za-z0-9+/=\s]*",
}
_STYLES = (
    *("fill", "fill-opacity", "fill-rule", "opacity"),
    *("stroke", "stroke-opacity", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit"),
    *("stroke-dasharray", "stroke-dashoffset", "image-rendering"),
    *("font", "font-family", "font-size", "font-style", "font-weight", "font-stretch", "font-variant", "text-anchor"),
)


def parsed(svg: str) -> Element:
    """The tree of an SVG file; ValueError if it is none."""
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    if root.tag != f"{_SVG}svg":
        raise ValueError(f"it is <{_local(root.tag)}>")
    return root


def written(root: Element) -> str:
    """A tree as text that a page can hold, without metadata and style sheet.

    Raises:
        ValueError: if it has an element or attribute that matplotlib does not write; the message names it.
    """
    return ElementTree.tostring(_plain(root, 0), encoding="unicode")


def _plain(element: Element, depth: int) -> Element:
    name = element.tag.removeprefix(_SVG)
    if name not in (_ELEMENTS if depth else ("svg",)):
        raise ValueError(f"it has <{_local(name)}>")
    if depth > _DEPTH:
        raise ValueError(f"it has elements {depth} deep")
    plain = Element(name, {_prefixed(key): _checked(key, value) for key, value in element.items()})
    if name == "g":
        plain.attrib.pop("id", None)  # so that nothing is drawn again by its name but single marks
    plain.text, plain.tail = element.text, element.tail
    plain.extend([_plain(child, depth + 1) for child in element if child.tag not in _LEFT_OUT])
    return plain


def _checked(key: str, value: str) -> str:
    """The value of an attribute, if it is one that matplotlib may write."""
    allowed = _is_plain_style(value) if key == "style" else re.fullmatch(_ATTRIBUTES.get(key, "(?!)"), value)
    if not allowed:
        raise ValueError(f"it has {_local(key)}={value[:40]!r}")
    return value


def _is_plain_style(style: str) -> bool:
    declarations = (declaration.partition(":") for declaration in style.split(";") if declaration.strip())
    return all(
        name.strip() in _STYLES and re.fullmatch(f"{_WITHIN}|{_PLAIN}", value.strip())
        for name, _, value in declarations
    )


def _prefixed(key: str) -> str:
    return key.replace(_XLINK, "xlink:")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
