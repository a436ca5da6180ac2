import pytest
from PIL import Image

from mmspec.analysis.output import Plate, TextTable, markdown, write, write_page
from mmspec.errors import InputError
from mmspec.report.drawing import canvas


def plate(title="A <line>"):
    figure, (axes,) = canvas()
    axes.plot([0, 1], [2, 3])
    return Plate(title, figure, "caption", [(1, "one")])


def test_a_page_needs_nothing_beside_it(tmp_path):
    table = TextTable("T", ["", "a"], [["x < y", "1"]])
    write_page(tmp_path / "deep/page.html", "Title", "Lead.", [plate()], table, ["a note"])
    html = (tmp_path / "deep/page.html").read_text()
    assert html.startswith("<!doctype html>") and "A &lt;line&gt;" in html and "x &lt; y" in html and "a note" in html
    assert "http" not in html and "<script" not in html and html.count("<svg") == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_a_picture_by_its_suffix(tmp_path):
    write(tmp_path / "a.png", "Title", "Lead.", [plate()])
    assert Image.open(tmp_path / "a.png").size[0] > 500
    with pytest.raises(InputError, match=r"must end with \.html, \.png or \.svg"):
        write(tmp_path / "a.pdf", "Title", "Lead.", [plate()])
    with pytest.raises(InputError, match="there are 2 figures"):
        write(tmp_path / "a.svg", "Title", "Lead.", [plate(), plate()])


def test_markdown_is_aligned():
    text = markdown(TextTable("T", ["", "share"], [["large", "0.2"], ["s", "0.1"]]), ["note"])
    assert text == "# T\n\n|       | share |\n| ----- | ----- |\n| large | 0.2   |\n| s     | 0.1   |\n\n- note\n"
