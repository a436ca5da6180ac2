"""Where the shards of a data set lie: a folder, or a path, URL or command with braces."""

import itertools
import math
import re
from pathlib import Path

from mmspec.errors import InputError

PIPE, WEB = "pipe:", ("http://", "https://")
BRACES = re.compile(r"(\{\d{1,18}\.\.\d{1,18}\}|\{[^{}]*,[^{}]*\})")
MOST = 1_000_000


def locations(shards: str) -> list[str]:
    """One path, URL or command a shard.

    Args:
        shards: a folder, for all ``.tar`` files in it in the order of their names; or a text in which ``{0000..0099}``
            stands for numbers of so many digits, and ``{a,b}`` for either: a path, ``http://...``, ``https://...``, or
            ``pipe:COMMAND``, whose standard output is the shard.

    Raises:
        InputError: if the folder holds no shard, or there would be more than a million.
    """
    if not is_stream(shards) and Path(shards).is_dir():
        if not (found := sorted(str(path) for path in Path(shards).glob("*.tar"))):
            raise InputError(f"{shards} holds no .tar file: give the folder of the shards, or their path with braces.")
        return found
    choices = [_choices(part, shards) if place % 2 else [part] for place, part in enumerate(BRACES.split(shards))]
    _require_few(math.prod(map(len, choices)), shards)
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def is_stream(location: str) -> bool:
    """Whether it is read from front to back alone, as commands and servers are, and is no file."""
    return location.startswith((PIPE, *WEB))


def name_of(location: str) -> str:
    """Of the shard, without folder, server or query."""
    return location.partition("?")[0].rpartition("/")[2]


def numbered(number: int) -> str:
    """By which an index knows a shard that a command prints, the ``number``-th that was given."""
    return f"{number:06}"


def _choices(braces: str, shards: str) -> list[str]:
    inside = braces[1:-1]
    if "," in inside:
        return inside.split(",")
    first, last = inside.split("..")
    _require_few(int(last) - int(first) + 1, shards)
    return [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]


def _require_few(count: int, shards: str) -> None:
    if not 1 <= count <= MOST:
        raise InputError(f"{shards} stands for {max(0, count):,} shards, expected 1 to {MOST:,}: mend its braces.")
