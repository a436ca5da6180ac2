"""Pages that commands write, in a browser: on a phone and a large screen, by day and by night."""

import pytest

from mmspec.cli import main
from tests.report.test_page import RATE, evaluation, make_run, packed, reported

SCREENS = [(width, scheme) for width in (1400, 390) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory, chromium):
    """A report of pictures and sound, runs with names as long as recipes give them; and a comparison of two sets."""
    home = tmp_path_factory.mktemp("pages")
    parts = {"train": 0, "test": 1}
    data = {
        kind: {part: packed(home / kind / part, kind == "sound", 100, seed) for part, seed in parts.items()}
        for kind in ("sound", "pictures")
    }
    runs = [
        make_run(home / f"{kind}-{name}", data[kind], audio=kind == "sound", seed=seed, lambda_of_the_term=weight)
        for kind in data
        for seed, (name, weight) in enumerate({"without_regularizer": None, "amplitude_phase": 0.1}.items())
    ]
    for run in runs:
        evaluation(run)
    reported(runs, home / "report.html")
    page = home / "compare.html"
    assert main(["compare", data["pictures"]["test"], str(runs[2] / "samples/final"), f"out={page}"]) == 0
    return {file.stem: file.as_uri() for file in (home / "report.html", page)}


@pytest.mark.parametrize("name", ["report", "compare"])
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_pages_fit_are_legible_and_have_no_barriers(show, pages, name, width, scheme):
    shown = show(pages[name], width, scheme)
    assert shown.errors == [] and shown.too_wide <= 0 and shown.barriers == [] and shown.small_letters == []


def test_what_is_in_a_report_is_seen_and_heard(show, pages):
    shown = show(pages["report"])
    images = shown.loaded("img")
    assert len(images) == 6 + 6 * 3 - 3 and all(images)
    assert shown.duration("audio") == pytest.approx(1200 / RATE)
    assert shown.errors == []


def test_names_break_between_words_on_a_phone(show, pages):
    """Each word of a narrow table's first column is on one line."""
    shown = show(pages["report"], 390)
    script = """(cell) => {
        const words = [...cell.childNodes].filter((node) => node.nodeName === "#text" && /^\\S+$/.test(node.data));
        const range = document.createRange();
        return words.map((node) => { range.selectNodeContents(node); return range.getClientRects().length; });
    }"""
    lines = [count for cell in shown.all("tbody th", script) for count in cell]
    assert len(lines) > 20 and set(lines) == {1}
