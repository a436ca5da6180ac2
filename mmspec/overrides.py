"""Words of a command line as they are typed -> overrides in hydra's grammar.

To hydra ``#`` begins a comment, a comma a sweep, and an accent is an error. So the values of keys that take a path or a
text are quoted here. What is quoted already stays as it is, and so does ``null`` where a key takes it.
"""

import os
import re
from collections.abc import Sequence

from mmspec.errors import InputError
from mmspec.typed import hint_of, is_list, kinds

WORD = re.compile(r"(\+{0,2})([A-Za-z_][\w./@]*)=(.*)", re.DOTALL | re.ASCII)
WITHOUT = re.compile(r"~[A-Za-z_]")
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"  # that programs write in place of the keyboard's
QUOTED = re.compile(r"""(['"])(?:(?!\1)[^\\]|\\.)*\1""", re.DOTALL)
SWEEP = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag)\(.*\)", re.DOTALL)
MARK = "\ue000"  # of private use: it parts what OmegaConf would take for an interpolation, or for a missing value


def as_typed(words: Sequence[str], takes: Sequence[type], multirun: bool = False) -> list[str]:
    """Overrides that mean the words as they are typed; ``~/`` begins a path in the home folder.

    Args:
        words: ``key=value``, of which the last of a key counts, and ``~key``.
        takes: the dataclasses that say which keys take a path or a text.
        multirun: commas part several values.

    Raises:
        InputError: for a word that is no ``key=value``, or not in UTF-8.
    """
    refuse_malformed(words)
    last = {word.partition("=")[0] if "=" in word else word: word for word in words}
    return [_override(word, takes, multirun) for word in last.values()]


def items(value: str) -> list[str]:
    """The texts that ``[a,'b,c']``, ``a,b`` or ``a`` names."""
    inner = value[1:-1] if _is_list(value) else value
    return [os.path.expanduser(unquoted(part)) for part in _parts(inner) if part]


def unquoted(value: str) -> str:
    """The text that stands for itself, or in quotes."""
    return re.sub(r"\\(['\"\\])", r"\1", value[1:-1]) if QUOTED.fullmatch(value) else value


def readable(value: object) -> object:
    """A value of a configuration with its texts as they were typed."""
    if isinstance(value, dict):
        return {key: readable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [readable(each) for each in value]
    return value.replace(MARK, "") if isinstance(value, str) else value


def refuse_malformed(words: Sequence[str]) -> None:
    """Raise InputError for a word that is neither ``key=value`` nor ``~key``, or not in UTF-8."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise InputError(f"{word!a} is not in UTF-8: rename the file or folder.") from None
        if word[:1] in DASHES and word:
            raise InputError(f"{word!r} begins with a long dash, which a text program made of -: type it anew.")
        if not WITHOUT.match(word) and not WORD.fullmatch(word):
            raise InputError(f"{word!r} is no key with a value: write KEY=VALUE, nothing before or behind the key.")


def _override(word: str, takes: Sequence[type], multirun: bool) -> str:
    if (match := WORD.fullmatch(word)) is None:
        return word
    plus, key, value = match.groups()
    hint = next((found for cls in takes if (found := hint_of(cls, key)) is not None), None)
    if not kinds(hint) & {"text", "path"}:
        return word if _is_hydras(word) else f"{plus}{key}={_quoted(value, home=False)}"
    parts = _parts(value) if multirun and not SWEEP.fullmatch(value) else [value]
    return f"{plus}{key}={','.join(_value(part, hint, multirun) for part in parts)}"


def _value(value: str, hint: object, multirun: bool) -> str:
    if (value == "null" and "null" in kinds(hint)) or (multirun and SWEEP.fullmatch(value)):
        return value
    home = "number" not in kinds(hint)  # a text that may as well be a number is no path
    if is_list(hint) and _is_list(value) and not os.path.exists(value):
        return f"[{','.join(_quoted(part, home) for part in _parts(value[1:-1]) if part)}]"
    return _quoted(value, home)


def _quoted(value: str, home: bool) -> str:
    if QUOTED.fullmatch(value):
        return value
    value = os.path.expanduser(value) if home and value.startswith("~") else value
    value = f"{MARK}???" if value == "???" else value.replace("${", f"${MARK}{{")
    value = re.sub(r"(\\*)'", r"\1\1\\'", value)  # hydra reads a backslash as itself, unless it is before a quote
    return "'" + re.sub(r"(\\+)$", r"\1\1", value) + "'"


def _is_list(value: str) -> bool:
    return value.startswith("[") and value.endswith("]")


def _parts(value: str) -> list[str]:
    """What stands between commas outside of brackets and of parts that are quoted."""
    parts, start, at, depth = [], 0, 0, 0
    while at < len(value):
        if not value[start:at].strip() and (match := QUOTED.match(value, at)):
            at = match.end()
            continue
        depth += (value[at] == "[") - (value[at] == "]")
        if value[at] == "," and depth == 0:
            parts.append(value[start:at].strip())
            start = at + 1
        at += 1
    return [*parts, value[start:].strip()]


def _is_hydras(word: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True
