"""Class names from where a file lies or how it is called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from data_prep.samples import Rejected


@dataclass(frozen=True)
class LabelRule:
    """How a file's class is read off its path.

    Attributes:
        text: ``none``; ``parent``, the folder that the file lies in; ``name:N``, the N-th field (from 0) of the
            file name split at ``_``, as 7 in ``7_jackson_32.wav``; or ``regex:PATTERN``, the first group (or the
            whole match) of a regular expression found in the path.

    Raises:
        ValueError: if text is none of these.
    """

    text: str

    def __post_init__(self) -> None:
        kind, _, argument = self.text.partition(":")
        if kind == "name":
            usable = argument.isdigit()
        elif kind == "regex":
            try:
                usable = bool(re.compile(argument)) and bool(argument)
            except re.error:
                usable = False
        else:
            usable = self.text in ("none", "parent")
        if not usable:
            raise ValueError(f"label rule {self.text!r} is none of parent, none, name:N, regex:PATTERN")

    def __call__(self, name: str) -> str | None:
        """The class of a file.

        Raises:
            Rejected: if its path does not fit the rule.
        """
        kind, _, argument = self.text.partition(":")
        if kind == "none":
            return None
        path = PurePosixPath(name)
        if kind == "parent":
            label = path.parent.name
        elif kind == "name":
            label = dict(enumerate(path.stem.split("_"))).get(int(argument), "")
        else:
            match = re.search(argument, name)
            label = match.group(1 if match.re.groups else 0) or "" if match else ""
        if not label:
            raise Rejected("no label", f"the path does not fit the rule {self.text}")
        return label


def sort_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct class names in order: numbers by value, then names."""
    return tuple(sorted(set(labels), key=lambda label: (not label.isdecimal(), len(label) * label.isdecimal(), label)))
