"""The pages of docs/: their code runs, their commands are understood, their pictures are those that commands draw."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest
import torch

from mmspec.cli import main
from mmspec.drawing.pictures import read_picture

ROOT = Path(__file__).parents[2]
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
WHOLE = ("tour", "extending")  # pages that are run from top to bottom; the latter by test_extending.py
SMALL = {  # what the tour's commands are told besides, so that they take a second
    "prepare": ["--train", "32", "--test", "32"],
    "train": ["trainer.max_steps=2", "trainer.batch_size=4", "trainer.log_every=1", "trainer.warmup_steps=0"],
    "sample": ["num=8", "steps=2"],
    "diagnose": ["num=20", "levels=3", "samples=0"],
}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def commands(page):
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run(block, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(block, "docs", "exec"), {"__name__": "__main__"})


def prepare(module, *arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        assert importlib.import_module(module).main(list(arguments)) == 0


CODE = [(page, number) for page in PAGES if page not in WHOLE for number in range(len(blocks(page, "python")))]


@pytest.mark.parametrize(("page", "number"), CODE)
def test_python_runs(page, number, tmp_path, monkeypatch):
    if page == "slimming":
        pytest.importorskip("diffusers", reason="diffusers is not installed")
    run(blocks(page, "python")[number], tmp_path, monkeypatch)


def test_the_tour_goes_through(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program, *words in commands("tour"):
        assert program == "mmspec" and main([*words, *SMALL.get(words[0], [])]) == 0, words
    assert "amplitude_phase" in (tmp_path / "report.html").read_text()
    for block in blocks("tour", "python"):
        run(block, tmp_path, monkeypatch)


def test_each_picture_stands_below_or_above_the_command_that_draws_it():
    shown = {**PAGES, "README": (ROOT / "README.md").read_text(encoding="utf-8")}
    for file in (ROOT / "docs/pictures").iterdir():
        assert read_picture(file).caption
        pages = [text for text in shown.values() if re.search(rf"\]\((docs/)?pictures/{file.name}\)", text)]
        assert pages, file
        for text in pages:
            assert re.search(rf"^mmspec analyze .*out=\S*\b{file.name}$", text.replace("\\\n", " "), re.MULTILINE), file


def test_what_helps_where_in_the_readme_is_what_its_page_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| where \| treatment .*?\n\n", readme, re.MULTILINE | re.DOTALL)[0]
    page = PAGES["what_helps_where"].replace(" dB", "")
    figures = re.findall(r"[+-]\d\.\d\d \[.*?\]", table)
    assert len(figures) > 10
    assert [each for each in figures if each not in page] == []


@pytest.mark.parametrize("name", ["amplitude", "stft"])
def test_a_command_draws_the_figures_of_its_picture(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (words,) = [words for words in commands("regularizers") if f"out=docs/pictures/{name}.svg" in words]
    prepare("data_prep.photographs", "data/photographs", "--size", "32", "--train", "1")  # whose test part is the same
    assert main(words[1:]) == 0
    figures = [
        re.findall(r">(\d\.\d\d)</text>", file.read_text()) for file in (ROOT / words[-1][4:], Path(words[-1][4:]))
    ]
    assert len(figures[0]) >= 6 and figures[0] == figures[1]


def test_each_yes_of_the_comparison_leads_to_a_test_that_is_there():
    rows = re.findall(r"^\| (?!---)([^|]+) \| ([^|]+) \|", PAGES["comparison"], re.MULTILINE)
    ours = [cell for _, cell in rows[1:]]
    assert len(ours) >= 15 and {"no"} <= set(ours)
    for cell in ours:
        if cell != "no":
            named = re.search(r"yes\b.*: \[`(tests/\S+\.py)`\]\(\.\./(\S+)\)$", cell)
            assert named and named[1] == named[2] and (ROOT / named[1]).is_file(), cell


def test_every_recipe_and_example_is_listed():
    recipes = {folder.parent.name for folder in (ROOT / "recipes").glob("*/run.sh")}
    assert recipes and recipes <= set(re.findall(r"\(\.\./recipes/(\w+)/README\.md\)", PAGES["recipes"]))
    examples = {file.name for file in (ROOT / "examples").glob("*.py")}
    assert examples == set(re.findall(r"\(\.\./examples/(\w+\.py)\)", PAGES["own_loops"]))
