"""What ``--help`` prints of a verb: its keys, their defaults and meanings, as conf/*.yaml states and comments them."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from mmspec.errors import InputError
from mmspec.typed import below, nearest

CONF = Path(__file__).parent / "conf"
EVERYWHERE = "# @package _global_"
TYPE = "name of a class; one of your own comes with plugins=[FILE.py]"
WIDEST = 36  # characters of a key and its default that still stand beside their meaning


@dataclass(frozen=True)
class Key:
    """A key as it is written.

    Attributes:
        name: parts joined by dots.
        default: as YAML writes it; None of a key that holds others.
        meaning: its comment.
    """

    name: str
    default: str | None
    meaning: str

    @property
    def written(self) -> str:
        """How it is given on a command line; of what holds others its name."""
        return self.name if self.default is None else f"{self.name}={self.default}"


@dataclass(frozen=True)
class Commented:
    """A YAML file with its comments.

    Attributes:
        preface: the comment that it begins with.
        keys: all but ``defaults``.
        groups: whose choices ``defaults`` says; the default is the choice.
        bases: files of the same folder that ``defaults`` names.
        everywhere: whether its keys are not those of a group, but of all.
    """

    preface: str
    keys: list[Key]
    groups: list[Key]
    bases: list[str]
    everywhere: bool


@cache
def commented(file: Path) -> Commented:
    """A file of ``conf``."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text)
    entries = list(root.value) if isinstance(root, yaml.MappingNode) else []
    listed = [item for key, value in entries if key.value == "defaults" for item in value.value]
    groups = [item for item in listed if isinstance(item, yaml.MappingNode) and _is_group(item)]
    bases = [item.value.partition("@")[0] for item in listed if isinstance(item, yaml.ScalarNode)]
    return Commented(
        _joined(line for line in _comments_from(lines, 0) if not line.startswith("@")),
        list(_keys([entry for entry in entries if entry[0].value != "defaults"], lines, "")),
        [replace(key, name=key.name.lstrip("/")) for item in groups for key in _keys(item.value, lines, "")],
        [base for base in bases if base != "_self_"],
        lines[0].startswith(EVERYWHERE),
    )


def _is_group(item: yaml.MappingNode) -> bool:
    name: str = item.value[0][0].value
    return (CONF / name.lstrip("/")).is_dir()


def _keys(entries: Sequence[tuple[yaml.Node, yaml.Node]], lines: Sequence[str], parent: str) -> Iterator[Key]:
    for key, value in entries:
        name = below(parent, key.value)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield Key(name, None, _comment(lines, key.end_mark))
            yield from _keys(value.value, lines, name)
        else:
            start, end = value.start_mark, value.end_mark
            source = [start.buffer[start.pointer : end.pointer]] if start.buffer else []
            yield Key(
                name, " ".join("".join(source).split()), _comment(lines, end) or (TYPE if key.value == "type" else "")
            )


def _comment(lines: Sequence[str], after: yaml.Mark) -> str:
    """What stands behind a mark, and in the lines of comments below."""
    _, mark, behind = lines[after.line][after.column :].partition("#")
    return _joined([behind, *_comments_from(lines, after.line + 1)]) if mark else ""


def _comments_from(lines: Sequence[str], start: int) -> Iterator[str]:
    for line in lines[start:]:
        if not line.lstrip().startswith("#"):
            return
        yield line.lstrip().removeprefix("#").strip()


def _joined(comments: Iterator[str] | Sequence[str]) -> str:
    return " ".join(" ".join(comments).split())


def preset_keys(group: str, choice: str) -> list[Key]:
    """The keys of a choice, those of the files that it builds on included."""
    content = commented(CONF / group / f"{choice}.yaml")
    keys = {key.name: key for base in content.bases for key in preset_keys(group, base)}
    for key in content.keys:
        name = key.name if content.everywhere else below(group, key.name)
        meaning = key.meaning or (keys[name].meaning if name in keys else "")
        keys[name] = replace(key, name=name, meaning=meaning)
    return list(keys.values())


def choices_of(group: str) -> list[str]:
    """The names that ``group=NAME`` takes."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def verb_help(verb: str, what: str, words: Sequence[str] = (), file: Path | None = None) -> str:
    """The help of a verb, or of the groups and keys of it that words name.

    Args:
        verb: as ``mmspec.cli.VERBS`` has it.
        what: it does.
        words: ``GROUP``, ``GROUP=CHOICE`` or a key.
        file: that describes it; None is ``conf/<verb>.yaml``.

    Raises:
        InputError: for a word that is none of these.
    """
    content = commented(file or CONF / f"{verb}.yaml")
    if words:
        return "\n\n".join(_part(verb, content, word) for word in words)
    names = [group.name for group in content.groups]
    own = [key for key in content.keys if key.name.split(".")[0] not in names]
    more = f"mmspec {verb} --help GROUP shows a group with its choices, --help GROUP=NAME the keys of one of them."
    parts = [f"mmspec {verb}: {what}", _wrapped(content.preface), _lines(own)]
    parts += [_group(content, group, brief=True) for group in content.groups]
    return "\n\n".join(filter(None, [*parts, more if names else ""]))


def _part(verb: str, content: Commented, word: str) -> str:
    name, _, choice = word.partition("=")
    groups = {group.name: group for group in content.groups}
    if name in groups:
        return _group(content, replace(groups[name], default=choice or groups[name].default), brief=bool(choice))
    keys = [*content.keys, *(key for group in content.groups for key in _keys_of(content, group))]
    if found := [key for key in keys if f"{key.name}.".startswith(f"{name}.")]:
        return _lines(found)
    did_you_mean = nearest(name, [*groups, *(key.name for key in keys)]).rpartition("? ")
    said = f"{did_you_mean[0]}? " if did_you_mean[0] else ""
    raise InputError(f"mmspec {verb} has no key and no group {name}: {said}mmspec {verb} --help lists them.")


def _group(content: Commented, group: Key, brief: bool) -> str:
    """A group: its default and choices, in ``brief`` their names alone, and the keys of the default."""
    names = choices_of(group.name)
    if group.default not in (*names, "null", "???"):
        raise InputError(f"{group.written} is unknown: {nearest(str(group.default), names)}{', '.join(names)}.")
    about = [Key(name, None, commented(CONF / group.name / f"{name}.yaml").preface) for name in names]
    choices = _wrapped(f"one of {', '.join(names)}", "  ") if brief else _lines(about, "  ")
    choices = choices if len(names) > 1 else ""
    return "\n".join(filter(None, [_lines([group]), choices, _lines(_keys_of(content, group), "  ")]))


def _keys_of(content: Commented, group: Key) -> list[Key]:
    """The keys that the verb adds to a group, and those of its default choice."""
    keys = preset_keys(group.name, str(group.default)) if group.default in choices_of(group.name) else []
    added = [key for key in content.keys if key.name.startswith(f"{group.name}.")]
    return list({key.name: key for key in (*added, *keys)}.values())


def _lines(keys: Sequence[Key], indent: str = "") -> str:
    """A line a key, or more where its meaning is long; what a key holds is set in."""
    heads = [f"{indent or '  ' * ('.' in key.name)}{key.written}" for key in keys]
    column = min(WIDEST, max(map(len, heads), default=0)) + 2
    return "\n".join(_line(head, key.meaning, " " * column) for head, key in zip(heads, keys, strict=True))


def _line(head: str, meaning: str, gap: str) -> str:
    told = _wrapped(meaning, gap)
    return f"{head}\n{told}".rstrip() if len(head) + 2 > len(gap) else f"{head}{told[len(head) :]}"


def _wrapped(text: str, indent: str = "") -> str:
    width = max(60, min(120, shutil.get_terminal_size((120, 24)).columns))
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
