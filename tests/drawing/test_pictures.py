import pytest

from mmspec.drawing.figure import Figure
from mmspec.drawing.pictures import read_picture, write_picture
from mmspec.drawing.style import canvas
from mmspec.errors import InputError


def test_a_picture_comes_back_with_title_caption_and_the_pages_colours(tmp_path):
    figure, (axes,) = canvas()
    axes.plot([0, 1], [2, 3], color="#d9480f")
    axes.set_xlabel("time (s)")
    write_picture(tmp_path / "a.svg", Figure("Gains & losses", figure, "Below 1 < σ.", [(2, "one")]))
    picture = read_picture(tmp_path / "a.svg")
    assert picture.title == "Gains & losses" and picture.caption == "Below 1 < σ."
    assert picture.svg.startswith("<svg role") and 'aria-label="Gains &amp; losses"' in picture.svg
    assert "var(--line-2)" in picture.svg and "time (s)" in picture.svg and ">one<" in picture.svg
    assert "http" not in picture.svg and "<title" not in picture.svg


@pytest.mark.parametrize("content", ["", "no SVG", "<svg xmlns='http://www.w3.org/2000/svg'></svg>", None])
def test_another_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "x.svg").write_text(content)
    with pytest.raises(InputError, match=r"no picture of mmspec analyze|is not there"):
        read_picture(tmp_path / "x.svg")
