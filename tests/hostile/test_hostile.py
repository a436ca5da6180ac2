"""Every hostile file gets its sentence, within its budget of memory and time, and nothing in it is run.

``python -m pytest tests/hostile`` lists files and sentences.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.hostile import archives, configurations, media, pickles
from tests.hostile.confinement import sentence_of
from tests.hostile.hostile import Hostile, content
from tests.hostile.readers import READERS

CORPUS = [*pickles.FILES, *archives.FILES, *configurations.FILES, *media.FILES]
SENTENCES = dict(
    line.split("\t", 1) for line in Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").splitlines()
)
FROM_SHARED = {"evil.svg": "figure", "hash_bomb_key.pkl": "edm_pickle", "set_bomb.pkl": "edm_pickle"}


def refused(hostile: Hostile, folder: Path) -> str:
    """The sentence of a hostile file that is made in a folder, in which nothing else may appear."""
    path = folder / hostile.name
    hostile.make(path)
    before = sorted(folder.rglob("*"))
    said = sentence_of(READERS[hostile.reader], path).replace(f"{folder}/", "")
    assert sorted(folder.rglob("*")) == before
    assert not Path("CANARY").exists()
    return said


def test_the_corpus_is_large_and_each_file_of_it_has_a_sentence() -> None:
    names = [hostile.name for hostile in CORPUS]
    assert len(names) == len(set(names)) >= 150
    assert set(names) | FROM_SHARED.keys() == SENTENCES.keys()


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_hostile_file(hostile: Hostile, tmp_path: Path, record_property) -> None:
    said = refused(hostile, tmp_path)
    record_property("sentence", said)
    assert fnmatchcase(said, SENTENCES[hostile.name].replace("[", "[[]")), said


@pytest.mark.parametrize("name", FROM_SHARED)
def test_hostile_file_of_the_shared_folder(name: str, shared: Path, tmp_path: Path, record_property) -> None:
    place = shared / "faults" / "hostile" / name
    if not place.is_file():
        pytest.skip(f"{place} is not on this machine (set MMSPEC_SHARED)")
    said = refused(Hostile(name, FROM_SHARED[name], content(place.read_bytes())), tmp_path)
    record_property("sentence", said)
    assert fnmatchcase(said, SENTENCES[name].replace("[", "[[]")), said
