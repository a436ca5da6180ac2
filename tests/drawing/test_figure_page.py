import re

import pytest
from PIL import Image

from mmspec.drawing.figure import Figure
from mmspec.drawing.figure_page import write_figure_page, write_figures
from mmspec.drawing.style import canvas
from mmspec.drawing.tables import TextTable, markdown
from mmspec.errors import InputError


def figure_of(title="A <line>"):
    drawing, (axes,) = canvas()
    axes.plot([0, 1], [2, 3])
    return Figure(title, drawing, "caption", [(1, "one")])


def test_a_page_needs_nothing_beside_it(tmp_path):
    tables = [TextTable("T", ["", "a"], [["x < y", "1"]]), TextTable("U", ["b"], [["2"]])]
    write_figure_page(tmp_path / "deep/page.html", "Title", "Lead.", [figure_of()], tables, ["a note"])
    html = (tmp_path / "deep/page.html").read_text()
    assert html.startswith("<!doctype html>") and "A &lt;line&gt;" in html and "x &lt; y" in html and "a note" in html
    assert "http" not in html.replace("http-equiv", "") and "<script" not in html and html.count("<svg") == 1
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["T", "U"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_a_picture_by_its_suffix(tmp_path):
    write_figures(tmp_path / "a.png", "Title", "Lead.", [figure_of()])
    assert Image.open(tmp_path / "a.png").size[0] > 500
    with pytest.raises(InputError, match=r"must end with \.html, \.png or \.svg"):
        write_figures(tmp_path / "a.pdf", "Title", "Lead.", [figure_of()])
    with pytest.raises(InputError, match="there are 2 figures"):
        write_figures(tmp_path / "a.svg", "Title", "Lead.", [figure_of(), figure_of()])


def test_markdown_is_aligned():
    text = markdown(TextTable("T", ["", "share"], [["large", "0.2"], ["s", "0.1"]]), ["note"])
    assert text == "# T\n\n|       | share |\n| ----- | ----- |\n| large | 0.2   |\n| s     | 0.1   |\n\n- note\n"
