"""JSON and YAML that somebody may have edited: read in UTF-8, each key once, and held against types."""

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mmspec.errors import InputError
from mmspec.strangers import clipped, read_document
from mmspec.typed import held

RESTORE = "restore it, or move it away"
MOST_VALUES = 8_000_000  # each of some hundred bytes once it is read; labels of ImageNet have 4 million
DOCUMENT_VALUES = 500_000  # of what is held against types, which takes some microseconds for each
MOST_YAML = 1 << 18  # bytes: a few seconds of reading


def read_json(path: Path, kind: Any = None, mend: str = RESTORE) -> dict[str, Any]:
    """The keys and values of a JSON file.

    Args:
        path: of the file.
        kind: a TypedDict of what is read of it; None for anything.
        mend: what the error says is to be done.

    Raises:
        InputError: if it holds none, or other ones.
    """
    return _read(path, partial(parse_json, most=DOCUMENT_VALUES), "JSON", kind, mend)


def read_yaml(path: Path, kind: Any = None, mend: str = RESTORE) -> dict[str, Any]:
    """As `read_json`, of a YAML file without aliases."""
    return _read(path, parse_yaml, "YAML", kind, mend)


def parse_json(content: bytes, most: int = MOST_VALUES) -> Any:
    """What JSON says, of so many values at the most.

    Raises:
        ValueError: if it is none, not in UTF-8, nested too deeply, has a key twice, of which one would be ignored, or
            a text that no file and no path can hold.
    """
    if sum(map(content.count, (b"[", b"{", b","))) > most:
        raise ValueError(f"more than {most:,} values")
    try:
        return _writable(json.loads(content.decode(), object_pairs_hook=_each_once))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_yaml(content: bytes) -> Any:
    """What YAML says; errors as for `parse_json`, and for an alias, by which a value could hold itself."""
    if len(content) > MOST_YAML:
        raise ValueError(f"more than {MOST_YAML:,} bytes")
    try:
        return _writable(yaml.load(content.decode(), _Loader))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


@contextmanager
def mended(mend: str) -> Iterator[None]:
    """Add to a refusal what is to be done: "A has no b." becomes "A has no b: restore it."."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{str(error).removesuffix('.')}: {mend}.") from None


def _read(path: Path, parse: Callable[[bytes], Any], form: str, kind: Any, mend: str) -> dict[str, Any]:
    stored = read_document(path)
    with mended(mend):
        try:
            content = parse(stored)
        except ValueError as error:
            raise InputError(f"{path} is not {form} ({error})") from None
        if not isinstance(content, dict):
            raise InputError(f"{path} holds no keys and values")
        if kind is not None:
            held(content, kind, str(path))
    return content


def _writable(content: Any) -> Any:
    """The same, unless an escape stands for what UTF-8 or a path cannot hold: half a surrogate pair, or NUL."""
    if isinstance(content, str) and (found := re.search("[\0\ud800-\udfff]", content)):
        raise ValueError(f"a text holds U+{ord(found[0]):04X}, which is no character")
    inner = [*content, *content.values()] if isinstance(content, dict) else content if isinstance(content, list) else []
    for each in inner:
        _writable(each)
    return content


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {clipped(key)} stands there twice")
        found[key] = value
    return found


class _Loader(yaml.SafeLoader):
    """Plain values alone, each key once, nothing by reference."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(problem="an alias stands for a value", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for key, count in keys.items() if count > 1]:
            problem = f"the key {clipped(twice[0])} stands there twice"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)
