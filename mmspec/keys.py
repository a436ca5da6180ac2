"""Which keys a verb has, as conf/*.yaml says: known before the seconds in which its command is imported."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mmspec.errors import InputError
from mmspec.help import choices_of, commented
from mmspec.typed import below, nearest, refuse_unknown

CONF = Path(__file__).parent / "conf"
WORD = re.compile(r"(~|\+{0,2})([A-Za-z_][\w.]*)(?:=(.*))?", re.DOTALL | re.ASCII)
DASHED = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL | re.ASCII)
BY_CLASS = ("network", "process", "sampler", "regularizer")  # groups that may name a class in place of a preset
OPEN = "regularizer"  # whose terms have any name


def refuse_dashes(verb: str, words: Sequence[str]) -> None:
    """Raise InputError for ``--max-steps 5``, which is written ``trainer.max_steps=5`` here."""
    for word, after in pairwise([*words, ""]):
        if (match := DASHED.fullmatch(word)) is None:
            continue
        apart = match[2] is None and bool(after) and not after.startswith("-") and "=" not in after
        if key := _meant(match[1].replace("-", "_"), list(_flat(_options(verb, [])))):
            value = match[2] or (after if apart else "VALUE")
            raise InputError(f"{word}{f' {after}' if apart else ''} is written {key}={value} here.")


def refuse_unknown_keys(verb: str, words: Sequence[str]) -> None:
    """Raise InputError for a key that a verb with these presets does not have, whether or not + stands before it.

    Arguments of a class that + adds, as those of a network, are refused where the class is known.

    Args:
        verb: of ``conf/<verb>.yaml``.
        words: of the command line.
    """
    given = [match.groups(default="") for word in words if (match := WORD.fullmatch(word)) is not None]
    chosen = {key: value for _, key, value in given if (CONF / key).is_dir()}
    presets = {key: value for key, value in chosen.items() if value in choices_of(key)}
    groups = {each.name for file in _files(verb, presets) for each in commented(file).groups}
    for key, value in chosen.items():
        if key in groups - presets.keys() and re.fullmatch(r"-?[\d.]\S*" if key in BY_CLASS else r"[\w.-]+", value):
            names = choices_of(key)
            raise InputError(f"{key}={value} is unknown: {nearest(value, names)}{', '.join(names)}.")
    options = _options(verb, [f"{key}={value}" for key, value in presets.items() if key in groups])
    if not options:  # as analyze has none without a figure, of which composing tells
        return
    options |= {key: None for key in groups if key not in options}
    others = groups & (chosen.keys() - presets.keys())  # classes, or several choices of a multirun
    for mark, key, _ in given:
        if key.partition(".")[0] not in others and "experiment" not in others:
            _refuse(key, options, added=mark.startswith("+"))


def _files(verb: str, presets: Mapping[str, str]) -> list[Path]:
    """The files of a verb that may have groups."""
    return [CONF / f"{verb}.yaml", *(CONF / key / f"{value}.yaml" for key, value in presets.items())]


def _options(verb: str, presets: Sequence[str]) -> dict[str, object]:
    """The keys of a verb with these presets, and their values; none where presets are missing."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            found = OmegaConf.to_container(compose(verb, list(presets)))
    except (HydraException, OmegaConfBaseException):
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _refuse(key: str, options: Mapping[str, object], added: bool) -> None:
    node: object = options
    parent = ""
    for name in key.split("."):
        if added and (node is None or parent == OPEN):
            return
        if not isinstance(node, Mapping):
            raise InputError(f"{key} is no option: {parent} has none.")
        if added and parent and "type" in node:
            return
        if name not in node:
            _refuse_name(name, list(node), parent, list(_flat(options)))
        node, parent = node[name], below(parent, name)


def _refuse_name(name: str, siblings: Sequence[str], parent: str, known: Sequence[str]) -> None:
    found = _meant(name, known)
    if found and not nearest(name, siblings).startswith("did"):
        raise InputError(f"{below(parent, name)} is no option: did you mean {found}?")
    refuse_unknown([name], siblings, parent)


def _meant(name: str, known: Sequence[str]) -> str | None:
    """The key that a name means alone, as ``max_steps`` means ``trainer.max_steps``."""
    return next((key for key in known if key == name or key.rpartition(".")[2] == name), None)


def _flat(options: Mapping[str, object], parent: str = "") -> Iterator[str]:
    for name, value in options.items():
        yield below(parent, name)
        if isinstance(value, Mapping):
            yield from _flat(value, below(parent, name))
