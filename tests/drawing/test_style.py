import re
from pathlib import Path

import pytest

import mmspec.drawing
from mmspec.drawing.inline_svg import inline
from mmspec.drawing.style import VARIABLES, canvas, line_colour, shades

STYLE = (Path(mmspec.drawing.__file__).parent / "templates" / "style.css").read_text()


def test_the_colours_are_the_light_ones_of_the_style_sheet():
    light = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", STYLE[: STYLE.index("@media")]))
    assert {variable: colour for colour, variable in VARIABLES.items()}.items() <= light.items()


def test_an_inline_figure_has_variables_for_colours_and_says_what_it_shows():
    figure, (axes,) = canvas()
    axes.plot([0, 1], [0, 1], color=line_colour(2))
    axes.set(xlabel="time (s)")
    axes.imshow([[0.0, 1.0]], cmap=shades(3))
    svg = inline(figure, "A line & more")
    assert 'aria-label="A line &amp; more"' in svg and "time (s)" in svg
    assert "stroke: var(--line-2)" in svg and "var(--ink)" in svg
    assert not re.findall(r"(?:fill|stroke): #", svg) and "data:image/png" in svg


def test_shades_begin_with_nothing():
    assert shades(1)(0.0)[3] == 0 and shades(1)(1.0)[3] == 1


def luminance(colour):
    """WCAG 2, of ``#rrggbb``."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    darker, brighter = sorted((luminance(one), luminance(other)))
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_contrasts_are_those_that_wcag_asks_for(mode):
    block = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[mode == "dark"]
    colours = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block))
    for ground in ("--paper", "--card", "--well"):
        assert all(contrast(colours[text], colours[ground]) >= 4.5 for text in ("--ink", "--muted")), ground
    assert contrast(colours["--note-ink"], colours["--note"]) >= 4.5
    lines = [colour for name, colour in colours.items() if name.startswith("--line-")]
    assert len(lines) == 13 and all(contrast(line, colours["--card"]) >= 3 for line in lines)
    texts = re.findall(r"(?<![\w-])color: (var\(--[\w-]+\))", re.sub(r"::after \{[^}]*\}", "", STYLE))
    assert set(texts) <= {"var(--ink)", "var(--muted)", "var(--note-ink)"}  # none in a line's colour


def test_what_is_hidden_does_not_widen_the_page():
    """An absolute element counts where its positioned ancestor is: of tables, the box that scrolls."""
    absolute = re.findall(r"^(\S+(?: \S+)*) \{[^}]*position: absolute", STYLE, re.MULTILINE)
    assert absolute == [".clip .name", ".unseen"]
    for ancestor in (".clip", ".table"):
        assert re.search(rf"^{re.escape(ancestor)} \{{[^}}]*position: relative", STYLE, re.MULTILINE), ancestor
