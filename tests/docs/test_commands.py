"""Commands that README, docs/ and recipes show are understood: each verb, key, option, program and target is there."""

import argparse
import functools
import importlib
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from mmspec.cli import main, with_keys
from mmspec.config import compose
from mmspec.overrides import as_typed
from tests.programs import BIN

ROOT = Path(__file__).parents[2]
TOUR = "docs/tour.md"  # whose commands test_pages.py runs
RUN_ELSEWHERE = (TOUR, "docs/extending.md")
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "recipes").glob("*/README.md"))]
PAGES = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
BLOCK = re.compile(r"^ *```(?:bash|text)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
OTHERS = ("cd", "docker", "source", "export", "exit", "ln", "npm", "scontrol", "status=$?")  # no programs of ours
LAUNCHERS = ("accelerate", "torchrun", "srun")


def commands(text: str) -> list[list[str]]:
    """Words of each command in blocks of bash, and of text that shows commands."""
    found = []
    for block in BLOCK.findall(text):
        lines = [] if "import " in block else block.replace("\\\n", " ").splitlines()
        for command in (each for line in lines for each in line.split(" && ")):
            words = shlex.split(command, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            found += [words] if words else []
    return found


class Read(Exception):
    """Options that a program read."""


def read_only(parser: argparse.ArgumentParser, words: list[str]) -> None:
    read_all(parser, words)
    raise Read


read_all = argparse.ArgumentParser.parse_args


def understood(words: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    program, *rest = words
    if program in LAUNCHERS:
        start = next((i for i, word in enumerate(rest) if word == "mmspec" or word.endswith("run.sh")), None)
        return start is None or understood(rest[start:], monkeypatch)
    if program == "mmspec":
        given = [word if word != "..." else "data.train=x" for word in rest[1:]]  # dots stand for what must be given
        return understood_verb(rest[0], given, monkeypatch)
    if program.endswith("run.sh"):
        return understood_recipe(program, rest)
    if program == "make":
        return re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    if program == "pip":
        return understood_pip(rest)
    if program in ("python", "python3"):
        return rest[0] != "-m" or importlib.util.find_spec(rest[1]) is not None
    return program in OTHERS or program.startswith("((")


def understood_verb(verb: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    if verb == "recipe":
        return understood_recipe(f"recipes/{words[0]}/run.sh", words[1:])
    if verb == "prepare":
        with monkeypatch.context() as patch, pytest.raises(Read):
            patch.setattr(argparse.ArgumentParser, "parse_args", read_only)
            main([verb, *words])
    else:
        options = importlib.import_module(f"mmspec.commands.{verb}").OPTIONS
        compose(verb, as_typed(with_keys(verb, words), options))
    return True


@functools.cache
def options(recipe: str) -> set[str]:
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    said = subprocess.run([ROOT / recipe, "--help"], env=environment, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  (--[\w-]+)", said, re.MULTILINE)) | {"--help"}


def understood_recipe(recipe: str, words: list[str]) -> bool:
    for key in (word for word in words if re.match(r"[\w.]+=", word)):
        verb = re.match(r"(sample|evaluate)\.", key)
        needed = {"sample": ["from=x"], "evaluate": ["samples=x"]}.get(verb[1] if verb else "", [])
        if "frequency_bias" in recipe:
            compose("analyze", ["figure=frequency_bias", key])
        elif verb:
            compose(verb[1], [*needed, key.removeprefix(verb[0])])
        else:
            compose("train", ["run_dir=x", "data.train=x", "network=unet", key])
    return {word for word in words if word.startswith("--")} <= options(recipe)


def understood_pip(words: list[str]) -> bool:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for word in words for found in re.findall(r"\[([\w,-]+)\]", word) for name in found.split(",")}
    files = [words[i + 1] for i, word in enumerate(words) if word in ("--constraint", "--requirement")]
    return words[0] == "install" and named <= extras.keys() and all((ROOT / file).is_file() for file in files)


SHOWN = [page for page in PAGES if page not in RUN_ELSEWHERE and commands(PAGES[page])]


@pytest.mark.parametrize("page", SHOWN)
def test_commands_are_understood(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [words for words in commands(PAGES[page]) if not understood(words, monkeypatch)] == []


def test_commands_within_lines_are_of_verbs_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmspec.cli import VERBS
    from mmspec.programs import PROGRAMS

    named = {verb for text in PAGES.values() for verb in re.findall(r"`mmspec ([a-z_]+)[ `]", text)}
    assert named and named <= {*VERBS, *PROGRAMS}
    prepared = {name for text in PAGES.values() for name in re.findall(r"mmspec prepare ([a-z_]+)", text)}
    assert {"images", "audio"} <= prepared
    assert all((ROOT / f"data_prep/{name}.py").is_file() for name in prepared)
    assert [page for page, text in PAGES.items() if "python -m data_prep" in text] == []  # which no wheel has


@pytest.mark.parametrize(
    "words",
    [
        ["mmspec", "prepare", "images", "a", "b", "--sice", "8"],
        ["mmspec", "train", "trainer.max_step=5"],
        ["recipes/demo/run.sh", "--nmu", "3"],
        ["recipes/fsdd/run.sh", "trainer.max_step=5"],
        ["make", "dmeo"],
        ["pip", "install", ".[galery]"],
        ["mspec", "train"],
    ],
    ids=" ".join,
)
def test_what_is_misspelt_is_not_understood(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        known = understood(words, monkeypatch)
    except (Exception, SystemExit, pytest.fail.Exception):
        known = False
    assert not known
