import re
from pathlib import Path

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
