"""The gallery's page, driven by clicks and keys in a browser."""

import re
from pathlib import Path

import pytest

from tests.gallery.serving import served
from tests.gallery.test_gallery import clips, make_run, pictures, walk

pytest.importorskip("starlette", reason="the extra gallery is not installed")

VIEWS = {
    "samples": "main section",
    "walk": "main output",
    "training": "main output",
    "curves": "main figcaption strong",
}


@pytest.fixture(scope="module")
def address(chromium, tmp_path_factory):
    """A run with 100 pictures, and sound."""
    home = tmp_path_factory.mktemp("runs")
    pictures(make_run(home / "run") / "samples/final", count=100)
    walk(home / "run/samples/final/walk")
    clips(home / "sound", [4000, 2000])
    with served(home / "run", home / "sound") as (address, _):
        yield address


@pytest.fixture
def gallery(show, address):
    shown = show(address)
    shown.page.wait_for_selector("main section")
    yield shown
    assert shown.errors == [] and shown.page.inner_text("#status") == ""


def test_sets_stand_side_by_side_and_are_paged_by_keys(gallery):
    page = gallery.page
    assert page.locator("main h2").all_inner_texts() == ["run", "sound"]
    assert page.locator("main .cell").count() == 48 + 2 and all(gallery.loaded("main img"))
    assert page.locator("main .name").all_inner_texts()[:2] == ["#0 cat", "#1 <b>dog</b>"]
    page.keyboard.press("ArrowRight")
    assert page.locator("main .name").first.inner_text().startswith("#48") and all(gallery.loaded("main img"))
    page.get_by_role("spinbutton", name="Page").fill("3")
    page.keyboard.press("Enter")
    assert page.locator("main .cell").count() == 4
    page.get_by_role("checkbox", name="sound").uncheck()
    assert page.locator("main h2").all_inner_texts() == ["run"]


def test_sounds_are_loaded_and_play(gallery):
    page = gallery.page
    assert gallery.duration("main audio") == pytest.approx(1.0)
    page.locator("main section", has_text="sound").locator(".cell button").nth(1).click()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("f")  # the sound alone is at that place
    page.keyboard.press(" ")
    page.keyboard.press("p")
    played = "(sound) => new Promise((done) => sound.addEventListener('timeupdate', () => done(sound.currentTime)))"
    assert page.eval_on_selector("dialog figure:not([hidden]) audio", played) > 0


def test_one_sample_is_compared_large_side_by_side_or_one_at_a_time(gallery):
    page = gallery.page
    page.locator("main .cell button").nth(1).focus()
    page.keyboard.press("Enter")
    sources = gallery.all("dialog img", "(image) => image.src.split('?')[0].slice(-11)")
    assert sources == ["1/whole.png"] * 2 and all(gallery.loaded("dialog img")) and gallery.barriers == []
    figures = page.locator("dialog figure:visible")
    assert figures.count() == 2
    page.keyboard.press("f")
    assert figures.all_inner_texts() == ["run"]
    page.keyboard.press(" ")
    assert figures.all_inner_texts() == ["sound"]
    page.get_by_role("button", name="next", exact=True).click()
    assert figures.all_inner_texts() == ["run"]
    page.keyboard.press("f")
    page.keyboard.press("ArrowRight")
    assert "sample 2" in page.inner_text("dialog") and figures.count() == 1  # there are two sounds
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_a_slider_goes_along_the_walk(gallery):
    page = gallery.page
    page.keyboard.press("2")
    where = page.locator("main output")
    assert where.all_inner_texts() == ["step 1 of 3, σ = 9"] and all(gallery.loaded("main img"))
    page.keyboard.press("ArrowRight")
    assert where.all_inner_texts() == ["step 2 of 3, σ = 1"] and all(gallery.loaded("main img"))
    page.get_by_label("Step of the sampler").fill("2")
    assert where.all_inner_texts() == ["step 3 of 3, σ = 0.1"]
    shown = gallery.all("main img", "(image) => image.src.match(/walks\\/final\\/(\\d+)/)[1]")
    assert shown == ["2", "5"] and all(gallery.loaded("main img"))


def test_steps_of_training_and_curves_are_reached_by_keys(gallery):
    page = gallery.page
    page.keyboard.press("3")
    steps = page.locator("main output")
    assert steps.all_inner_texts() == ["step 20", "step 20"] and all(gallery.loaded("main img"))
    page.keyboard.press("ArrowLeft")
    assert steps.all_inner_texts() == ["step 10", "step 10"] and all(gallery.loaded("main img"))
    page.keyboard.press("4")
    page.wait_for_selector(VIEWS["curves"])
    titles = ["Training loss by noise level", "Training loss", "Gates of run (final)"]
    assert page.locator(VIEWS["curves"]).all_inner_texts() == titles
    assert all(gallery.loaded("main img"))
    page.keyboard.press("?")
    assert page.locator("#keys dl").is_visible()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_fit_and_have_no_barriers(show, address, view, width, scheme):
    shown = show(address, width, scheme)
    shown.page.click(f"nav button[data-view={view}]")
    shown.page.wait_for_selector(VIEWS[view])
    assert shown.too_wide <= 0 and shown.barriers == [] and shown.errors == []


def test_of_ten_thousand_samples_a_page_is_shown(show, tmp_path):
    """The page keeps the elements of one page, and the server stays below 300 MB."""
    pictures(make_run(tmp_path / "run") / "samples/final", count=10_000)
    with served(tmp_path / "run") as (address, process):
        shown = show(address)
        shown.page.wait_for_selector("main .cell")
        elements = shown.page.evaluate("document.querySelectorAll('*').length")
        shown.page.get_by_role("spinbutton", name="Page").fill("209")
        shown.page.keyboard.press("Enter")
        assert shown.page.locator("main .name").all_inner_texts()[-1].startswith("#9999")
        assert all(shown.loaded("main img")) and shown.errors == []
        assert shown.page.evaluate("document.querySelectorAll('*').length") < elements < 400
        if (status := Path(f"/proc/{process}/status")).exists():
            assert int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) < 300_000
