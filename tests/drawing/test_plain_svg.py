"""What an SVG file may bring into a page: what matplotlib writes for our figures, and nothing else."""

import numpy as np
import pytest

from mmspec.cli import main
from mmspec.drawing.figure import Figure
from mmspec.drawing.pictures import read_picture, write_picture
from mmspec.drawing.style import canvas, set_scale, shades
from mmspec.errors import InputError
from tests.packed import write_pictures

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
SAID = (
    '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A &lt;title&gt;</dc:title>'
    "<dc:creator>mmspec analyze</dc:creator></metadata>"
)


def picture(folder, content, attributes=""):
    file = folder / "x.svg"
    file.write_text(f"{HEAD} {attributes}>{SAID}{content}</svg>")
    return file


def test_all_that_our_figures_hold_comes_back(tmp_path):
    drawing, axes = canvas(2, 2)
    axes[0].imshow(np.eye(3), cmap=shades(1), interpolation="none")
    axes[1].bar([0, 1], [1, 2], alpha=0.4)
    axes[2].plot([1, 10], [1, 2], marker="o", linestyle="--")
    axes[2].axhline(1, linestyle=":")
    set_scale(axes[2], "x", "log")
    axes[3].fill_between([0, 1], [0, 1], hatch=None)
    axes[3].set(title="50 % & <b>", xlabel="σ")
    drawing.colorbar(axes[0].images[0], ax=axes[0])
    write_picture(tmp_path / "a.svg", Figure("T", drawing, "C", [(1, "one")]))
    svg = read_picture(tmp_path / "a.svg").svg
    assert svg.count("<image") == 2 and "50 % &amp; &lt;b&gt;" in svg and "data:image/png" in svg
    assert svg.count("<path") == (tmp_path / "a.svg").read_text().count("<path")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("<script>alert(1)</script>", "<script>"),
        ('<g onclick="alert(1)"/>', "onclick="),
        ('<a xlink:href="javascript:alert(1)"><text>x</text></a>', "<a>"),
        ("<foreignObject><p xmlns='http://www.w3.org/1999/xhtml'>x</p></foreignObject>", "<foreignObject>"),
        ('<g><script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script></g>', "<script>"),
        ('<image xlink:href="http://evil/x.png"/>', "href="),
        ('<image xlink:href="data:image/svg+xml;base64,AAAA"/>', "href="),
        ('<image href="http://evil/x.png"/>', "href="),
        ('<use xlink:href="http://evil/x.svg#a"/>', "href="),
        ('<path style="fill: url(http://evil/x)"/>', "style="),
        ('<path style="background: red"/>', "style="),
        (r'<path style="fill: u\72l(//evil)"/>', "style="),
        ('<path clip-path="url(//evil#a)"/>', "clip-path="),
        ("<g>" * 40 + "</g>" * 40, "elements 33 deep"),
        ("<svg/>", "<svg>"),
        ('<animate attributeName="x"/>', "<animate>"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, content, named):
    file = picture(tmp_path, content)
    with pytest.raises(InputError, match=r"x\.svg is no picture of mmspec analyze: it has ") as error:
        read_picture(file)
    assert named in str(error.value) and "make it with" in str(error.value)


def test_text_that_html_would_read_otherwise_stays_text(tmp_path):
    content = "<text><![CDATA[<script>alert(1)</script>]]></text><!--><script>alert(2)</script>--><style>*{}</style>"
    read = read_picture(picture(tmp_path, content))
    assert read.title == "A <title>"
    assert "<script" not in read.svg and "&lt;script&gt;alert(1)" in read.svg and "alert(2)" not in read.svg


def test_groups_have_no_names_by_which_they_are_drawn_again(tmp_path):
    svg = read_picture(picture(tmp_path, '<g clip-path="url(#c)" id="a"><path id="m" d="M 0 0"/></g>')).svg
    assert 'id="a"' not in svg and 'id="m"' in svg


def test_entities_do_not_grow_without_bound(tmp_path):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 20}">' for i in range(1, 9))
    (tmp_path / "x.svg").write_text(f'<!DOCTYPE svg [<!ENTITY e0 "x">{entities}]>{HEAD}>{SAID}<text>&e8;</text></svg>')
    with pytest.raises(InputError, match="no picture of mmspec analyze"):
        read_picture(tmp_path / "x.svg")


def test_a_hostile_file_makes_no_page(tmp_path, shared, capsys):
    file = shared / "faults/hostile/evil.svg"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    samples = write_pictures(tmp_path / "samples", np.zeros((4, 8, 8, 3)))
    out = tmp_path / "page.html"
    assert main(["report", f"runs={samples}", f"figures=[{file}]", f"out={out}"]) == 2
    error = capsys.readouterr().err
    assert "evil.svg is no picture of mmspec analyze: it has onload=" in error and len(error.splitlines()) == 1
    assert not out.exists()
