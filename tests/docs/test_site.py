"""The site is built without a warning, and needs nothing from elsewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    pytest.importorskip("material", reason="the extra docs is not installed")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.chdir(ROOT)
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))  # strict: a warning is an exception
    return folder


def test_pages_fetch_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        found = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="((?:https?:)?//[^"]+)"', page.read_text())
        assert found == [], page


def test_the_reference_holds_what_is_ours_alone(site):
    import mmspec.losses

    page = (site / "api/losses.html").read_text()
    names = set(re.findall(r'id="mmspec\.losses\.([\w.]+)"', page))
    assert set(mmspec.losses.__all__) <= names
    assert not names & {f"Regularizer.{name}" for name in ("named_parameters", "register_buffer", "to", "train")}


def test_defaults_are_those_of_the_configuration(site):
    words = re.sub(r"<[^>]+>", "", (site / "groups.html").read_text())
    assert "regularizer=amplitude_phase" in words and "coupling: frequency" in words
    assert "max_samples: null" in re.sub(r"<[^>]+>", "", (site / "verbs.html").read_text())
