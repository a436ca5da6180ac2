"""Shell scripts keep to what bash 3.2 reads, the version that comes with macOS."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted((ROOT / "recipes").rglob("*.sh")), ROOT / "setup.sh"]
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


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_scripts_keep_to_bash_3(file: Path) -> None:
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in file.read_text().splitlines()]
    found = [(line, pattern) for line in lines for pattern in NEWER if re.search(pattern, line)]
    assert found == []
    if any("[@]}" in line for line in lines):  # to bash 3.2 an empty array is unset
        assert not any(re.match(r"set -\w*u", line) for line in lines)


def test_each_construct_is_known_by_its_example() -> None:
    assert [pattern for pattern, example in NEWER.items() if not re.search(pattern, example)] == []
