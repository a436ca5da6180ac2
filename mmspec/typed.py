"""Values from a configuration, held against the types that classes state for them."""

import dataclasses
import difflib
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from mmspec.errors import InputError
from mmspec.strangers import INTEGERS, clipped, shown

T = TypeVar("T")

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    type(None): "null",
}


def read(cls: type[T], config: object, where: str = "") -> T:
    """A dataclass from a mapping of its fields, each held against its type.

    Args:
        cls: a dataclass; fields may be dataclasses themselves.
        config: field -> value.
        where: the key of the whole in a configuration, by which errors call it.

    Raises:
        InputError: for a key that the class does not have, a field without default that is missing, a value of another
            type, or one that the class refuses.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"{where or cls.__name__} takes keys and values, not {shown(config)}.")
    fields = {_key(field): field.name for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    refuse_unknown(config, list(fields), where)
    hints = get_type_hints(cls, include_extras=True)
    values = {fields[key]: checked(value, hints[fields[key]], below(where, key)) for key, value in config.items()}
    return call(cls, values, where)


def held(content: Any, kind: Any, where: str) -> None:
    """Hold what a file says against the ``TypedDict`` that states what is read of it; other keys may be anything.

    Args:
        content: as JSON or YAML has it; numbers may be NaN, and what stands for null becomes it.
        kind: a TypedDict, whose values may be TypedDicts.
        where: the file, by which the error calls it.

    Raises:
        InputError: for a key that is needed and missing, or a value of another type.
    """
    if not isinstance(content, MutableMapping):
        raise InputError(f"{where} takes keys and values, not {shown(content)}.")
    hints = get_type_hints(kind)
    if missing := [key for key in sorted(kind.__required_keys__) if key not in content]:
        raise InputError(f"{where} has no {missing[0]}.")
    for key, hint in hints.items():
        if key not in content:
            continue
        if is_typeddict(hint):
            held(content[key], hint, f"{where}: {key}")
        else:
            value = checked(_without_nan(content[key]), hint, f"{where}: {key}")
            content[key] = None if value is None else content[key]


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return 0.0 if isinstance(value, float) and value != value else value


def write(value: Any) -> Any:
    """What `read` takes: dataclasses as mappings, tuples as lists, paths as texts."""
    if hasattr(value, "write"):
        return value.write()
    if dataclasses.is_dataclass(value):
        return {_key(field): write(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: write(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [write(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def keys_with(cls: Any, mark: str, where: str = "") -> list[str]:
    """Keys of the fields, of dataclasses within too, whose metadata have a mark; of a marked group, all of its keys."""
    found = []
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        key, hint = below(where, _key(field)), hints[field.name]
        inner = dataclasses.is_dataclass(hint)
        if field.metadata.get(mark):
            found += [below(key, _key(each)) for each in dataclasses.fields(hint)] if inner else [key]
        elif inner:
            found += keys_with(hint, mark, key)
    return found


def hint_of(cls: Any, key: str) -> Any:
    """The type of a field, or of one within the dataclass of a field, by keys joined by dots; None for no such key."""
    name, _, inner = key.partition(".")
    fields = {_key(field): field.name for field in dataclasses.fields(cls) if field.init}
    hint = get_type_hints(cls, include_extras=True)[fields[name]] if name in fields else None
    if not inner:
        return hint
    return hint_of(hint, inner) if dataclasses.is_dataclass(hint) else None


def kinds(hint: Any) -> set[str]:
    """Which of "text", "path", "number" and "null" a type takes, lists of them included."""
    if get_origin(hint) in (Annotated, Union, types.UnionType, *_SEQUENCES):
        return set().union(*map(kinds, get_args(hint)))
    names = {str: "text", Path: "path", int: "number", float: "number", type(None): "null"}
    return {names[hint]} if isinstance(hint, type) and hint in names else set()


def is_list(hint: Any) -> bool:
    """Whether a type takes a list."""
    return get_origin(hint) in _SEQUENCES or any(get_origin(each) in _SEQUENCES for each in get_args(hint))


def call(made: Callable[..., T], arguments: Mapping[str, Any], where: str) -> T:
    """``made(**arguments)``, in whose refusals the key stands.

    Raises:
        InputError: for an argument that is missing, or one that is refused by a ValueError or TypeError.
    """
    for name, parameter in inspect.signature(made).parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD
        if not optional and name not in arguments:
            in_file = where.endswith(":")
            said = "is missing" if in_file else f"must be given: {_name(made).removeprefix('_')} needs it"
            raise InputError(f"{below(where, name)} {said}.")
    try:
        return made(**arguments)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where.removesuffix(':')}: {error}" if where else str(error)) from error


def refuse_unknown(names: Iterable[str], known: Sequence[str], where: str, made: str = "") -> None:
    """Raise InputError for the first name that is not among the options of what is ``made``, with the nearest one."""
    for name in names:
        if name not in known:
            expected = f"{nearest(name, known)}{', '.join(known)}" if known else "there is none"
            raise InputError(f"{below(where, clipped(name))} is no option{made and f' of {made}'}: {expected}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean X? Expected one of``, or the second half of it where nothing is like the name."""
    likely = {each.lower(): each for each in reversed(list(known))}  # of two that differ in case, the first
    close = difflib.get_close_matches(name.lower(), likely, n=1, cutoff=0.6)
    return f"did you mean {likely[close[0]]}? Expected one of " if close else "expected one of "


def checked(value: Any, hint: Any, where: str) -> Any:
    """A value, if it is of a type; lists as tuples, and mappings as dataclasses, where the type says so.

    Types that no configuration can hold, such as modules and functions, take anything.

    Args:
        value: as YAML or JSON has it.
        hint: the type, such as ``int | Sequence[int]``, ``Literal["no", "bf16"]`` or a dataclass.
        where: the key, by which the error calls it.

    Raises:
        InputError: if it is of another type; the sentence says which the key takes.
    """
    if get_origin(hint) in _MAPPINGS and isinstance(value, Mapping):
        return {str(key): checked(each, get_args(hint)[1], below(where, key)) for key, each in value.items()}
    if _fits(value, hint):
        return _converted(value, hint, where)
    raise InputError(f"{where} takes {_words(hint)}, not {shown(value)}.")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, inner[0])
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in inner)
    if hint in (int, float, bool, str, Path, type(None), None):
        return _is_plain(value, hint)
    if origin in _SEQUENCES:
        return isinstance(value, list | tuple) and _all_fit(value, origin, inner)
    if origin in _MAPPINGS:
        return isinstance(value, Mapping) and all(_fits(each, inner[1]) for each in value.values())
    return not _is_written(hint) or isinstance(value, Mapping) or (isinstance(value, str) and _is_named(hint))


def _all_fit(values: Sequence[Any], origin: Any, inner: Sequence[Any]) -> bool:
    if origin is tuple and inner[-1:] != (...,):
        return len(values) == len(inner) and all(map(_fits, values, inner))
    return all(_fits(each, inner[0]) for each in values)


_SEQUENCES = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)


def _is_plain(value: Any, hint: Any) -> bool:
    if hint is None or hint is type(None):
        return value is None or value == {}  # what hydra makes of a group's choice "none"
    if hint is float:
        return _is_number(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < INTEGERS
    if hint is Path:
        return isinstance(value, str | Path) and str(value) != ""
    return isinstance(value, hint)


def _is_number(value: Any) -> bool:
    """A float that is not NaN, or a whole number within the floats."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, float) and value == value


def _is_written(hint: Any) -> bool:
    """Whether a configuration writes it as keys and values."""
    return dataclasses.is_dataclass(hint)


def _is_named(hint: Any) -> bool:
    """Whether a name alone stands for it, too."""
    return getattr(hint, "by_name", False)


def _converted(value: Any, hint: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _converted(value, inner[0], where)
    if origin in (Union, types.UnionType):
        return None if value == {} else _converted(value, next(each for each in inner if _fits(value, each)), where)
    if origin is tuple:
        hints = repeat(inner[0]) if inner[-1:] == (...,) else inner
        return tuple(_converted(each, of_each, where) for each, of_each in zip(value, hints, strict=False))
    if origin is list:
        return [_converted(each, inner[0], where) for each in value]
    if origin in _MAPPINGS:
        return {str(key): _converted(each, inner[1], below(where, key)) for key, each in value.items()}
    if hint is Path:
        return Path(value)
    if _is_written(hint) and isinstance(value, Mapping | str):
        return hint.read(value, where) if hasattr(hint, "read") else read(hint, value, where)
    return value


def _words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{_words(inner[0])} or auto" if any(_is_auto(each) for each in inner[1:]) else _words(inner[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_words(each) for each in inner)
    if origin is Literal:
        return " or ".join(shown(each) for each in inner)
    if origin in _SEQUENCES:
        count = "" if origin is not tuple or inner[-1:] == (...,) else f"{len(inner)} "
        first, *others = _words(inner[0]).split(" or ")
        one, of, each = first.removeprefix("a ").partition(" of ")
        return " or ".join([f"a list of {count}{one}s{of}{each}", *others])
    if origin in _MAPPINGS or _is_written(hint):
        return "a name or {type: NAME, ...}" if _is_named(hint) else "keys and values"
    return WORDS.get(hint, "null" if hint is None else getattr(hint, "__name__", str(hint)))


def _is_auto(marker: object) -> bool:
    return type(marker).__name__ == "Auto"


def _key(field: "dataclasses.Field[Any]") -> str:
    """How a configuration calls a field: ``from_`` is ``from``."""
    return field.name.removesuffix("_")


def below(where: str, name: object) -> str:
    """The key of a part, in a configuration or in a file (``config.json: network``)."""
    return f"{where} {name}" if where.endswith(":") else f"{where}.{name}" if where else str(name)


def _name(made: Any) -> str:
    return getattr(made, "__name__", str(made))
