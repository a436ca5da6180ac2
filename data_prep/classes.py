"""Classes that only all files of a source together tell: EDM's ``dataset.json``, or the folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from data_prep.dataset_json import NAME, is_named, spelled
from data_prep.labels import LabelRule, sort_classes
from data_prep.samples import Caption, DatasetLabels, Decoded, Rejected, Sample
from mmspec.errors import InputError

Outcomes = Iterator[tuple[str, Sample | Caption | Rejected]]
PARENT = LabelRule("parent")
RULES = (NAME, "parent", "none")


@dataclass
class FoundClasses:
    """The classes of ``dataset.json`` where one comes among the files, otherwise the folders that files lie in.

    Attributes:
        required: whether files outside of folders are left out; otherwise a source in which usable files lie in no
            folder, or all in one, has no classes.
        listed: path -> class, of every ``dataset.json`` so far; None where there was none.
        seen: paths of all files so far.
        unread: what is wrong with a ``dataset.json`` that cannot be used.
    """

    required: bool = False
    listed: dict[str, int] | None = field(default=None, init=False)
    seen: set[str] = field(default_factory=set, init=False)
    unread: list[str] = field(default_factory=list, init=False)

    @property
    def rules(self) -> tuple[str, ...]:
        """What may turn out to be the rule."""
        return RULES[:2] if self.required else RULES

    def taken_from(self, outcomes: Iterator[tuple[str, Decoded | Rejected]]) -> Outcomes:
        """What is no ``dataset.json``.

        Raises:
            InputError: if two of them disagree.
        """
        for name, outcome in outcomes:
            if isinstance(outcome, DatasetLabels):
                self._add(name, outcome)
                continue
            if isinstance(outcome, Rejected) and is_named(name):
                self.unread.append(f"{name} cannot be used: {outcome}; restore it, or give --label.")
            self.seen.add(spelled(name))
            yield name, outcome

    def _add(self, name: str, labels: DatasetLabels) -> None:
        listed = self.listed or {}
        for path, label in (labels.of_file or {}).items():
            if listed.setdefault(path, label) != label:
                found = f"the label {label}, and another {NAME} {listed[path]}"
                raise InputError(f"{name} gives {path} {found}: keep one.")
        self.listed = listed

    @property
    def absent(self) -> list[str]:
        """Paths that have a label and no file; once all files were seen."""
        return sorted((self.listed or {}).keys() - self.seen)

    def of(self, names: Sequence[str]) -> tuple[str, tuple[str, ...] | None, list[str | Rejected | None]]:
        """Once all files were seen: the rule, the classes in the order of their numbers, and each file's class.

        Of ``dataset.json`` the classes are the numbers from 0, also those without a picture, so that a network's
        classes stay in their places.

        Raises:
            InputError: if a ``dataset.json`` cannot be used, in whose stead folders would be taken for classes.
        """
        if self.unread:
            raise InputError(self.unread[0])
        if self.listed is not None:
            if not self.listed:
                return NAME, None, [None] * len(names)
            numbers = [self.listed.get(spelled(name)) for name in names]
            missing = Rejected("no label", f"not in {NAME}")
            labels: list[str | Rejected | None] = [missing if number is None else str(number) for number in numbers]
            return NAME, tuple(map(str, range(max(self.listed.values()) + 1))), labels
        found = [_folder(name) for name in names]
        classes = sort_classes(label for label in found if isinstance(label, str))
        if len(classes) < 2 and not self.required:
            return "none", None, [None] * len(names)
        return PARENT.text, classes, found


def _folder(name: str) -> str | Rejected | None:
    try:
        return PARENT(name)
    except Rejected as rejected:
        return rejected
