"""The rules of the house that no linter knows: what stands where, which way imports run, what docstrings say."""

import ast
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from torch import Tensor

ROOT = Path(__file__).parents[1]
PACKAGES = ("mmspec", "data_prep")

TWINS = {  # one word of the field for several things; their modules tell them apart
    "DDPM": {"mmspec.diffusion.processes.ddpm", "mmspec.diffusion.samplers.ddim"},  # the process, its sampler
    "DiffWave": {"mmspec.diffusion.processes.diffwave", "mmspec.networks.diffwave"},  # the process, its network
}
FLOORS = [  # each imports from its own and those before; rooms of one floor make no circle
    {  # know no room
        "errors",
        "typed",
        "files",
        "documents",
        "components",
        "plugins",
        "provenance",
        "allocator",
        "interruption",
        "help",
        "devices",
        "strangers",
    },
    {"spectral"},
    {"losses", "networks"},
    {"data", "diffusion", "metrics", "drawing"},
    {"training", "pretrained", "exported", "analysis", "diagnosis", "report", "gallery", "data_prep"},
    {"experiment", "config", "keys", "overrides", "places"},
    {"commands"},
    {"programs", "cli", "__main__", "__init__", "torchrun"},
]
HEAVY = ("accelerate", "auraloss", "hydra", "librosa", "matplotlib", "omegaconf", "scipy", "sklearn", "torchaudio")


@cache
def trees() -> dict[str, ast.Module]:
    """Module name -> its source, parsed; a package stands under its own name."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return {name: ast.parse(file.read_text()) for name, file in zip(names, files, strict=True)}


@cache
def imports() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, wherever in it."""
    return {name: {module for node in ast.walk(tree) for module in _imported(node)} for name, tree in trees().items()}


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        found = [name if name in trees() else str(node.module) for name in inner]
    else:
        found = []
    yield from (name for name in found if name.split(".")[0] in PACKAGES)


def room(module: str) -> str:
    if module.startswith("data_prep"):
        return "data_prep"
    return module.split(".")[1] if "." in module else "__init__"


def docstrings() -> Iterator[tuple[str, str]]:
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield f"{name}.{getattr(node, 'name', '')}", text


# Where things stand


def test_no_two_classes_are_called_alike_by_accident() -> None:
    places = defaultdict(set)
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == TWINS


def test_commands_hold_one_short_file_a_verb_and_nothing_else() -> None:
    from mmspec.cli import VERBS

    files = [file for file in (ROOT / "mmspec" / "commands").iterdir() if file.name != "__pycache__"]
    assert {file.name for file in files} == {"__init__.py", *(f"{verb}.py" for verb in VERBS)}
    assert {file.name: lines for file in files if (lines := len(file.read_text().splitlines())) > 80} == {}


def test_mappings_of_anything_stand_only_where_files_and_configurations_are_read() -> None:
    files = {file: file.read_text().splitlines() for file in (ROOT / "mmspec").rglob("*.py")}
    found = {file: count for file, lines in files.items() if (count := sum("Mapping[str, Any]" in x for x in lines))}
    assert sum(found.values()) < 15
    assert {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in found} <= {
        "mmspec.components",  # what a configuration says of a part
        "mmspec.typed",
        "mmspec.training.run",  # config.yaml, against another
        "mmspec.networks.edm_unet",  # a network's own `config`
        "mmspec.pretrained.diffusers_config",  # the configurations of other people's weights
        "mmspec.pretrained.diffwave",
        "mmspec.pretrained.inert_pickle",
        "mmspec.pretrained.ldm",
        "mmspec.metrics.cost",  # torch's own keyword arguments
        "mmspec.networks.weights",  # tensors of a file, which may be something else
    }


def test_what_a_network_is_stands_in_its_class() -> None:
    """Nobody asks a network for its facts by `getattr`, and no function tries one class after the other."""
    for module, tree in trees().items():
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.args]
            asked = [ast.unparse(call.func) for call in calls if ast.unparse(call.args[0]).endswith("network")]
            assert "getattr" not in asked, f"{module}.{function.name}"
            assert "hasattr" not in asked, f"{module}.{function.name}"
            assert asked.count("isinstance") <= 1, f"{module}.{function.name}"


# Which way imports run


def test_imports_run_one_way() -> None:
    floor = {name: level for level, rooms in enumerate(FLOORS) for name in rooms}
    for module, imported in imports().items():
        if not module.startswith("mmspec"):
            continue
        back = [each for each in imported if floor[room(each)] > floor[room(module)]]
        lazy = {"mmspec": {"mmspec.diffusion", "mmspec.training.checkpoint"}}
        auto = {
            "mmspec.losses.auto"
        }  # what "auto" stands for: a mark at a loss's own argument, which losses need alone
        assert set(back) - auto <= lazy.get(module, set()), module


def test_no_room_and_no_module_is_in_a_circle() -> None:
    modules = {name: imported - {name} for name, imported in imports().items()}
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, imported in modules.items():
        if name.startswith("mmspec."):
            rooms[room(name)] |= {room(each) for each in imported if each != "mmspec.losses.auto"} - {room(name)}
    for graph in (modules, rooms):
        list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize(("place", "allowed"), [("spectral", {"spectral"}), ("losses", {"losses", "spectral"})])
def test_operators_and_losses_serve_other_peoples_code_alone(place: str, allowed: set[str]) -> None:
    for module, imported in imports().items():
        if module.startswith(f"mmspec.{place}"):
            assert {room(each) for each in imported} <= allowed, module


def test_losses_bring_in_nothing_heavy() -> None:
    script = "import sys, torch; before = set(sys.modules); import mmspec.losses; print(*set(sys.modules) - before)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "mmspec.losses" in shown
    assert {name.split(".")[0] for name in shown.split()} & set(HEAVY) == set()


# What docstrings say


def test_code_is_marked_by_two_backticks_and_names_by_one() -> None:
    known = {name for module, tree in trees().items() for name in (*module.split("."), *_defined(tree))}
    for place, text in docstrings():
        for marked in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
            theirs = re.fullmatch(r"(torch|pywt|io)(\.\w+)+", marked)
            assert theirs or marked.split(".")[-1] in known, f"{place}: `{marked}` refers to nothing"
        assert text.count("`") % 2 == 0, place


def _defined(tree: ast.AST) -> Iterator[str]:
    """Names of classes, functions, constants and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_what_is_public_says_what_it_is() -> None:
    """Or its class does, or the base's method which it overrides."""
    assert [place for place, _, texts in public() if not any(texts)] == []


def test_functions_of_tensors_state_their_shapes() -> None:
    """In their docstring, their class's, or those of the base whose method they override."""
    texts = {place: texts for place, function, texts in public() if takes_tensors(function)}
    assert len(texts) > 200
    assert [place for place, written in texts.items() if not any(map(states_a_shape, written))] == []


SHAPE = re.compile(r"``[^`]*\[[^\]`]*\]|(same|any|in the) shape|shape of")
REFERENCE = re.compile(r"(?:\bas|\bas for|\bas of|inverse of|in place of) `([\w.]+)`")


@cache
def shapely() -> set[str]:
    """Names of functions, methods and classes whose own docstring states a shape."""
    return {place.rpartition(".")[2] for place, text in docstrings() if SHAPE.search(text)}


def states_a_shape(text: str) -> bool:
    """``[B, C]``, or in words that it is that of another, or a reference to what states one."""
    return bool(SHAPE.search(text)) or any(name.split(".")[-1] in shapely() for name in REFERENCE.findall(text))


@cache
def public() -> list[tuple[str, Any, list[str]]]:
    """Functions and methods that are public: where they are, they themselves, and what is written of them."""
    found = []
    for name in trees().keys() - {"mmspec.__main__"}:
        module = importlib.import_module(name)
        for made in [value for key, value in vars(module).items() if not key.startswith("_")]:
            if getattr(made, "__module__", None) != name:
                continue
            if isinstance(made, types.FunctionType):
                found.append((f"{name}.{made.__name__}", made, [made.__doc__ or ""]))
            elif isinstance(made, type):
                found += [(f"{name}.{made.__name__}.{key}", *each) for key, each in _methods(made)]
    return sorted(found, key=lambda each: each[0])


def _methods(owner: type) -> Iterator[tuple[str, tuple[Any, list[str]]]]:
    """Public methods, with their docstrings, here and at the bases of ours that they override, and the classes'."""
    ours = [cls for cls in owner.__mro__ if cls.__module__.split(".")[0] in PACKAGES]
    for key, method in vars(owner).items():
        function = _function(method)
        if isinstance(function, types.FunctionType) and (key == "__call__" or not key.startswith("_")):
            bases = [cls for cls in ours if key in vars(cls)]
            written = [_function(vars(cls)[key]).__doc__ for cls in bases] + [cls.__doc__ for cls in ours]
            yield key, (function, [text or "" for text in written])


def _function(method: Any) -> Any:
    return getattr(method, "__func__", getattr(method, "fget", method))


def takes_tensors(function: Callable[..., Any]) -> bool:
    signature = inspect.signature(function)
    return any(
        map(is_tensor, (*(each.annotation for each in signature.parameters.values()), signature.return_annotation))
    )


def is_tensor(hint: Any) -> bool:
    """A tensor, or several; not a state dict, whose shapes are a network's, nor a function."""
    if get_origin(hint) in (dict, Mapping, Callable):
        return False
    return hint is Tensor or any(map(is_tensor, get_args(hint)))
