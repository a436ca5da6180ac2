"""Classes that only all files of a source together tell: EDM's ``dataset.json``, or the folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from data_prep.dataset_json import NAME
from data_prep.labels import LabelRule, sort_classes
from data_prep.samples import Caption, DatasetLabels, Decoded, Rejected, Sample

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
    """

    required: bool = False
    listed: dict[str, int] | None = field(default=None, init=False)

    @property
    def rules(self) -> tuple[str, ...]:
        """What may turn out to be the rule."""
        return RULES[:2] if self.required else RULES

    def taken_from(self, outcomes: Iterator[tuple[str, Decoded | Rejected]]) -> Outcomes:
        """What is no ``dataset.json``."""
        for name, outcome in outcomes:
            if isinstance(outcome, DatasetLabels):
                self.listed = {**(self.listed or {}), **(outcome.of_file or {})}
            else:
                yield name, outcome

    def of(self, names: Sequence[str]) -> tuple[str, tuple[str, ...] | None, list[str | Rejected | None]]:
        """Once all files were seen: the rule, the classes in the order of their numbers, and each file's class.

        Of ``dataset.json`` the classes are the numbers from 0, also those without a picture, so that a network's
        classes stay in their places.
        """
        if self.listed is not None:
            if not self.listed:
                return NAME, None, [None] * len(names)
            numbers = [self.listed.get(name) for name in names]
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
