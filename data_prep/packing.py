"""Named samples in any order -> packed folders in the order of the names, with a report of what was rejected."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.captions import Captions
from data_prep.classes import FoundClasses
from data_prep.dataset_json import NAME
from data_prep.labels import sort_classes
from data_prep.samples import Rejected, Sample
from data_prep.splitting import TRAIN
from data_prep.statistics import measure, sums
from mmspec.data import DatasetMeta, PackedDataset, open_dataset
from mmspec.data.packed import DataFile, complete
from mmspec.errors import InputError
from mmspec.files import staged


@dataclass(frozen=True)
class Plan:
    """What a program makes.

    Attributes:
        modality: "image" or "audio".
        settings: option -> value of all that shapes the result, starting with the program; kept in ``meta.json``.
        source: where the samples come from.
        sample_rate: Hz, sound only.
        classes: in the order of their numbers; None sorts those that samples have.
    """

    modality: str
    settings: dict[str, Any]
    source: str = ""
    sample_rate: int | None = None
    classes: tuple[str, ...] | None = None

    def of_source(self, source: str, settings: dict[str, Any]) -> "Plan":
        """The same for one source, which adds its settings."""
        return replace(self, source=source, settings={**self.settings, **settings})


@dataclass(frozen=True, slots=True)  # there is one a file
class Row:
    """What is remembered of a sample while its data waits on disk, from ``start`` to ``end`` on the first axis."""

    name: str
    start: int
    end: int
    sample: Sample


def pack(
    out: Path,
    samples: Iterable[tuple[str, Sample | Rejected]],
    side: Callable[[str], str],
    sides: Sequence[str],
    plan: Plan,
    captions: Captions | None = None,
    classes: FoundClasses | None = None,
) -> str:
    """Write every sample into the folder below ``out`` that ``side`` names, all folders in one rename at the end.

    Samples are spooled to a scratch file as they come, so memory is bounded, then gathered in the order of their
    names. Neither the order nor the pace in which they come shows in the result. Where ``out`` already holds what
    the plan would make, no sample is asked for.

    Args:
        out: the output folder.
        samples: (name, sample or why there is none).
        side: name -> one of ``sides``.
        sides: folders below ``out``; "." is ``out`` itself.
        plan: what is made.
        captions: of the samples, known once all samples are; a sample without one is rejected. None for no captions.
        classes: of the samples, known once all samples are; None for those of the samples and the plan.

    Returns:
        The report to print: kept, rejected by reason, converted, statistics.

    Raises:
        InputError: if ``out`` holds something else, no sample is usable, or a side would be empty.
    """
    if is_done(out, sides, plan.settings, classes.rules if classes else ()):
        return f"{out} is up to date."
    with staged(out) as beside:
        scratch = beside / "scratch"
        rows, rejected, data = _spool(scratch, samples)
        if captions is not None:
            rows = _captioned(rows, captions, rejected)
        if classes is not None:
            rows, plan = _labelled(rows, classes, rejected, plan)
        if not rows:
            raise InputError(nothing_usable(plan.source, rejected))
        names = plan.classes
        if names is None and rows[0].sample.label is not None:
            names = sort_classes(str(row.sample.label) for row in rows)
        meta = DatasetMeta(
            modality=plan.modality,
            source=plan.source,
            sample_rate=plan.sample_rate,
            classes=names,
            preparation=plan.settings,
            shape=(data.shape[-1], max(row.end - row.start for row in rows), *data.shape[1:-1]),
        )
        report = []
        for name in sides:
            chosen = sorted((row for row in rows if side(row.name) == name), key=lambda row: row.name)
            refused = sorted((path, str(why), why.reason) for path, why in rejected if side(path) == name)
            if not chosen:
                raise InputError(f"No usable file of {plan.source} falls into the {name} part: hold out otherwise.")
            folder = beside / name
            folder.mkdir(exist_ok=True)
            report.append(summary(out / name, _write(folder, data, chosen, refused, meta)))
        scratch.unlink()
    return "\n".join([*report, *absent(classes)])


def _spool(
    scratch: Path, samples: Iterable[tuple[str, Sample | Rejected]]
) -> tuple[list[Row], list[tuple[str, Rejected]], np.ndarray]:
    """Samples one after the other along their first axis, as ``scratch`` holds them, and where each lies."""
    rows: list[Row] = []
    rejected: list[tuple[str, Rejected]] = []
    first, nothing, end = np.empty(0), np.empty(0), 0
    with scratch.open("wb") as file:
        for name, sample in samples:
            if isinstance(sample, Sample) and not rows:
                first, nothing = sample.data, sample.data[:0]
            if isinstance(sample, Sample) and not _alike(sample, first):
                sample = Rejected("another shape", f"{list(sample.data.shape)}, the first has {list(first.shape)}")
            if isinstance(sample, Rejected):
                rejected.append((name, sample))
            else:
                file.write(np.ascontiguousarray(sample.data).data)
                start, end = end, end + len(sample.data)
                rows.append(Row(name, start, end, replace(sample, data=nothing)))
    return rows, rejected, np.memmap(scratch, first.dtype, "r", shape=(end, *first.shape[1:])) if rows else first


def _captioned(rows: list[Row], captions: Captions, rejected: list[tuple[str, Rejected]]) -> list[Row]:
    """The rows that have a caption, with it; adds the others to ``rejected``."""
    found = [replace(row, sample=replace(row.sample, caption=captions.of(row.name))) for row in rows]
    bare = (row for row in found if row.sample.caption is None)
    rejected += [(row.name, Rejected("no caption", "there is no such .txt file beside it")) for row in bare]
    return [row for row in found if row.sample.caption is not None]


def _labelled(
    rows: list[Row], classes: FoundClasses, rejected: list[tuple[str, Rejected]], plan: Plan
) -> tuple[list[Row], Plan]:
    """The rows that have a class, with it, and the plan with what was found; adds the others to ``rejected``."""
    rule, names, labels = classes.of([row.name for row in rows])
    rejected += [(row.name, why) for row, why in zip(rows, labels, strict=True) if isinstance(why, Rejected)]
    kept = [
        replace(row, sample=replace(row.sample, label=label))
        for row, label in zip(rows, labels, strict=True)
        if not isinstance(label, Rejected)
    ]
    return kept, replace(plan, classes=names, settings={**plan.settings, "--label": rule})


def absent(classes: FoundClasses | None) -> list[str]:
    """A line for the report, where labels were given of files that are not there."""
    found = classes.absent if classes else []
    return [f"  {NAME}: labels of {len(found):,} files that are not there, first {found[0]}"] if found else []


def _alike(sample: Sample, first: np.ndarray) -> bool:
    """Whether samples fit into one array: of one shape, sound of any length."""
    free = 0 if sample.length is None else 1
    return sample.data.shape[free:] == first.shape[free:]


def _write(
    folder: Path, data: np.ndarray, rows: list[Row], rejected: list[tuple[str, str, str]], meta: DatasetMeta
) -> DatasetMeta:
    labels = lengths = captions = None
    if meta.classes is not None:
        index = {name: label for label, name in enumerate(meta.classes)}
        labels = np.array([index[str(row.sample.label)] for row in rows])
    if rows[0].sample.length is not None:
        lengths = np.array([row.sample.length for row in rows])
    if rows[0].sample.caption is not None:
        captions = [str(row.sample.caption) for row in rows]
    meta = replace(
        meta,
        count=len(rows),
        rejected=_counted(reason for _, _, reason in rejected),
        converted=_counted(what for row in rows for what in row.sample.converted),
    )
    lines = ["path\treason", *(f"{path}\t{why}" for path, why, _ in rejected)]
    (folder / "rejected.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with DataFile(folder, meta, new=True) as file:
        for place, row in enumerate(rows):
            file.write(place, data[row.start : row.end])
    meta = complete(folder, labels, lengths, captions, meta=meta)
    dataset = PackedDataset(folder)
    meta = replace(meta, statistics=measure(dataset, sums(dataset)))
    meta.write(folder)
    return meta


def _counted(things: Iterable[str]) -> dict[str, int]:
    return dict(Counter(things).most_common())


def nothing_usable(source: str, rejected: list[tuple[str, Rejected]]) -> str:
    """The sentence for a source of which nothing is left."""
    if not rejected:
        return f"{source} holds no files: give another source."
    reasons = ", ".join(f"{count} {reason}" for reason, count in _counted(why.reason for _, why in rejected).items())
    path, why = rejected[0]
    return f"{source} holds no usable file ({reasons}; first {path}: {why})."


def summary(folder: Path, meta: DatasetMeta) -> str:
    """The report on one folder."""
    rate = f" at {meta.sample_rate} Hz" if meta.sample_rate else ""
    classes = f", classes: {len(meta.classes)}" if meta.classes else ""
    lines = [f"{folder}: {meta.count:,} kept, each {'x'.join(map(str, meta.shape))}{rate}{classes}"]
    for title, counts in (("rejected", meta.rejected), ("converted", meta.converted)):
        lines.append(f"  {title:<9}  " + (", ".join(f"{what} {count:,}" for what, count in counts.items()) or "none"))
    lines.append("  measured   mean {mean:+.4f}, sigma_data {sigma_data:.4f}".format(**meta.statistics))
    return "\n".join(lines)


def is_done(out: Path, sides: Sequence[str], settings: dict[str, Any], rules: Sequence[str]) -> bool:
    """Whether ``out`` already holds what these settings would make; InputError if it holds something else.

    Where classes are found among the files, any of ``rules`` may have been the one that was.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    mend = "delete it to make it again, or give another OUT"
    made = [folder for folder in (out, out / TRAIN) if (folder / "meta.json").exists()]
    if not made:
        raise InputError(f"{out} exists and is not a packed data set: give another OUT.")
    found = DatasetMeta.read(made[0]).preparation
    for key, wanted in settings.items():
        if found.get(key) == wanted or (key == "--label" and found.get(key) in rules):
            continue
        if key == "source":
            raise InputError(f"{out} was made from {_described(found.get(key))}, not {_described(wanted)}: {mend}.")
        raise InputError(f"{out} was made with {key} {found.get(key)}, not {wanted}: {mend}.")
    for name in sides:
        open_dataset(out / name)
    return True


def _described(fingerprint: Any) -> str:
    if not isinstance(fingerprint, dict):
        return "another source"
    named = f"{fingerprint.get('name')} of {fingerprint.get('bytes')} bytes"
    mark = fingerprint.get("modified") or str(fingerprint.get("listing"))[:8]
    return f"{named} ({mark})"
