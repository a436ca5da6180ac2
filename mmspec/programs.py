"""Programs that come with mmspec and are not of its package: ``data_prep``, which prepares data, and ``recipes``.

In a clone they are folders beside the package. In an installed mmspec they are inside of it, so that they meet nobody
else's package of the name.
"""

import ast
import importlib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from mmspec.errors import InputError
from mmspec.typed import nearest

PROGRAMS = {
    "prepare": "make a packed data set of pictures or recordings",
    "recipe": "run an experiment from data to report, in stages",
}


def folder() -> Path:
    """What holds ``data_prep`` and ``recipes``."""
    inside = Path(__file__).parent / "bundled"
    return inside if inside.is_dir() else Path(__file__).parents[1]


def find_programs() -> None:
    """Have ``data_prep`` and ``recipes`` imported from where they came with mmspec, and not from somebody else's."""
    if (place := str(folder())) not in sys.path:
        sys.path.insert(0, place)


def run_program(program: str, words: Sequence[str]) -> int:
    """``prepare NAME ...`` or ``recipe NAME ...``; without a name, or with ``--help`` alone, it lists the names.

    Returns:
        The exit status.

    Raises:
        InputError: for a name that is none, or a recipe where there is no bash.
    """
    known = _preparations() if program == "prepare" else _recipes()
    name, *options = list(words) or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, known))
        lines = [f"  {each:<{width}}  {what}" for each, what in known.items()]
        sys.stdout.write("\n".join([f"usage: mmspec {program} NAME ..., and --help behind a NAME", "", *lines, ""]))
        return 0
    if name not in known:
        raise InputError(f"there is no {name}: {nearest(name, known)}{', '.join(known)}.")
    return _prepare(name, options) if program == "prepare" else _recipe(name, options)


def _preparations() -> dict[str, str]:
    files = sorted((folder() / "data_prep").glob("*.py"))
    trees = {file.stem: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    programs = {name: tree for name, tree in trees.items() if any(_is_main(node) for node in tree.body)}
    return {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in programs.items()}


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "main"


def _recipes() -> dict[str, str]:
    return {file.parent.name: _first_sentence(file) for file in sorted((folder() / "recipes").glob("*/run.sh"))}


def _first_sentence(script: Path) -> str:
    comments = takewhile(lambda line: line.startswith("#"), script.read_text(encoding="utf-8").splitlines()[1:])
    return re.split(r"[.;](?: |$)", " ".join(line.removeprefix("# ") for line in comments))[0]


def _prepare(name: str, options: list[str]) -> int:
    status: int = importlib.import_module(f"data_prep.{name}").main(options)
    return status


def _recipe(name: str, options: list[str]) -> int:
    if (bash := shutil.which("bash")) is None:
        raise InputError("recipes need bash, which is not on the PATH: on Windows run mmspec in WSL.")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # of python and mmspec
    sys.stdout.flush()
    os.execve(
        bash,
        [bash, str(folder() / "recipes" / name / "run.sh"), *options],
        {**os.environ, "PATH": path, "MMSPEC_PROGRAM": f"mmspec recipe {name}"},
    )
