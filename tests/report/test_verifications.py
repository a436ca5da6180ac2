"""What a page says before its runs: a lead, names in words, and what verifications have found."""

import json

import pytest

from mmspec.errors import InputError
from tests.report.test_page import Page, make_run, packed, reported


@pytest.fixture
def runs(tmp_path):
    data = {"train": packed(tmp_path / "train", False, 40, 0), "test": packed(tmp_path / "test", False, 40, 1)}
    return [make_run(tmp_path / name / "seed_0", data, seed=seed) for seed, name in enumerate(("none", "haar"))]


def verification(folder, **content):
    folder.mkdir()
    (folder / "verification.json").write_text(json.dumps(content))
    return str(folder)


def test_lead_names_and_findings_stand_before_the_samples(tmp_path, runs):
    found = [
        verification(tmp_path / "pictures", sentences=["haar helps: -1 dB; better: error_high -1."]),
        verification(tmp_path / "sounds", sentences=["haar harms: +1 dB.", "Missing: none-2."]),
    ]
    page = Page(reported(runs, lead="Look <here>.", names=["as it was", "with Haar"], verifications=found))
    text = page.text
    order = [
        text.index(each)
        for each in (
            "Look <here>.",
            "What helped?",
            "pictures haar helps : -1 dB better: error high -1.",
            "sounds haar harms",
            "Missing : none-2.",
            "as it was",
        )
    ]
    assert order == sorted(order) and "with Haar" in text and " none/seed_0" not in text


def test_without_them_the_page_is_as_before(runs):
    page = Page(reported(runs))
    assert "What helped?" not in page.text and " none/seed_0" in page.text


@pytest.mark.parametrize(
    ("names", "said"),
    [(["one"], "names=[one] must be 2 different names"), (["one", "one"], "names=[one,one] must be 2 different names")],
)
def test_names_that_do_not_tell_runs_apart_are_refused(runs, names, said):
    with pytest.raises(InputError, match=said.replace("[", r"\[").replace("]", r"\]")):
        reported(runs, names=names)


def test_a_folder_without_a_verification_is_named(tmp_path, runs):
    with pytest.raises(InputError, match="give a folder of `mmspec verify`"):
        reported(runs, verifications=[str(tmp_path / "none")])


def test_a_changed_verification_is_refused(tmp_path, runs):
    with pytest.raises(InputError, match="sentences"):
        reported(runs, verifications=[verification(tmp_path / "odd", sentences="helps")])
