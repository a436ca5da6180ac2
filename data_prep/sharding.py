"""Named samples in any order -> tar shards in the order of the names, with their index and a report."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from data_prep.classes import FoundClasses
from data_prep.decoding import start_worker
from data_prep.encoding import SUFFIXES
from data_prep.journal import USED, Journal
from data_prep.labels import sort_classes
from data_prep.packing import Plan, absent, is_done, nothing_usable, summary
from data_prep.samples import Decoded, Rejected
from data_prep.shard_files import Piece, WrittenShard, write_shard
from data_prep.statistics import Sums, measure
from mmspec.data import DatasetMeta, open_dataset
from mmspec.data.shard_index import FORMAT, ShardList, write_index
from mmspec.errors import InputError
from mmspec.files import staged

Outcomes = Iterator[tuple[str, Decoded | Rejected]]
BUSY_FROM = 20_000  # samples that pay for processes which write


@dataclass(frozen=True)
class Sharding:
    """How samples are put into shards.

    Attributes:
        samples: in each shard but the last.
        side: name -> one of ``sides``.
        sides: folders below the output; "." is the output itself.
        captions: whether a sample without one is left out.
        classes: of the samples, known once all samples are; None for those that each has.
        workers: processes that write.
    """

    samples: int
    side: Callable[[str], str]
    sides: Sequence[str]
    captions: bool = False
    classes: FoundClasses | None = None
    workers: int = 1


def shard(out: Path, decoded: Callable[[int], Outcomes], plan: Plan, sharding: Sharding) -> str:
    """Write every sample into a shard of the side that it belongs to; all folders come in one rename at the end.

    Contents wait on disk as they come, with a journal of what they are, until all are there and can be sorted. After
    anything but bad input both stay, hidden beside ``out``, and the same call goes on behind the last file that is in
    the journal. Where ``out`` already holds what the plan would make, no sample is asked for.

    Args:
        out: the output folder.
        decoded: how many members are skipped -> the others with what became of them, samples encoded.
        plan: what is made.
        sharding: how.

    Returns:
        The report to print, as of `data_prep.packing.pack`.

    Raises:
        InputError: if ``out`` holds something else, no sample is usable, or a side would be empty.
    """
    if is_done(out, sharding.sides, plan.settings, sharding.classes.rules if sharding.classes else ()):
        return f"{out} is up to date."
    with staged(out, json.dumps(plan.settings, sort_keys=True)) as beside:
        journal = Journal(beside)
        journal.record((name, sharding.side(name), outcome) for name, outcome in decoded(journal.done))
        plan = _settled(journal, plan, sharding)
        report = [
            summary(out / side, _write(beside / side, out / side, side, journal, plan, sharding))
            for side in sharding.sides
        ]
        journal.delete()
    return "\n".join([*report, *absent(sharding.classes)])


def _settled(journal: Journal, plan: Plan, sharding: Sharding) -> Plan:
    """The plan with its classes, once samples are rejected that do not go with the others."""
    _reject_other_shapes(journal)
    if sharding.captions:
        journal.change(
            f"UPDATE members SET reason = 'no caption', detail = 'there is no such .txt file beside it' WHERE {USED} "
            "AND stem NOT IN (SELECT stem FROM captions)"
        )
    if sharding.classes is not None:
        plan = _labelled(journal, plan, sharding.classes)
    if journal.ask(f"SELECT 1 FROM members WHERE {USED} LIMIT 1").fetchone() is None:
        rejected = journal.ask("SELECT name, reason, detail FROM members WHERE reason IS NOT NULL ORDER BY number")
        raise InputError(nothing_usable(plan.source, [(name, Rejected(*why)) for name, *why in rejected]))
    if plan.classes is None:
        labels = [label for (label,) in journal.ask(f"SELECT DISTINCT label FROM members WHERE {USED}")]
        plan = replace(plan, classes=None if labels == [None] else sort_classes(labels))
    return plan


def _reject_other_shapes(journal: Journal) -> None:
    """All but those of the first one's shape; sound may be of any length."""
    shapes = journal.ask("SELECT shape, length, min(number) FROM members WHERE size IS NOT NULL GROUP BY shape")
    found = sorted((number, json.loads(shape), length) for shape, length, number in shapes)
    for _, shape, length in found[1:]:
        free = 0 if length is None else 1
        if shape[free:] != found[0][1][free:]:
            why = f"{shape}, the first has {found[0][1]}"
            journal.change(
                f"UPDATE members SET reason = 'another shape', detail = ? WHERE {USED} AND shape = ?",
                [(why, json.dumps(shape))],
            )


def _labelled(journal: Journal, plan: Plan, classes: FoundClasses) -> Plan:
    for _ in classes.taken_from(journal.outcomes()):
        pass
    rows = journal.ask(f"SELECT number, name FROM members WHERE {USED} ORDER BY number").fetchall()
    rule, names, labels = classes.of([name for _, name in rows])
    told = list(zip((number for number, _ in rows), labels, strict=True))
    kept = ((label, number) for number, label in told if not isinstance(label, Rejected))
    journal.change("UPDATE members SET label = ? WHERE number = ?", kept)
    left = ((why.reason, why.detail, number) for number, why in told if isinstance(why, Rejected))
    journal.change("UPDATE members SET reason = ?, detail = ? WHERE number = ?", left)
    return replace(plan, classes=names, settings={**plan.settings, "--label": rule})


def _write(folder: Path, shown: Path, side: str, journal: Journal, plan: Plan, sharding: Sharding) -> DatasetMeta:
    """The shards of a side, their index, and what is known of each sample."""
    folder.mkdir(exist_ok=True)
    used, of_side = f"{USED} AND side = ?", (side,)
    count, total, squares = journal.ask(
        f"SELECT count(*), sum(total), sum(squares) FROM (SELECT * FROM members WHERE {used} ORDER BY name)", of_side
    ).fetchone()
    if not count:
        raise InputError(f"No usable file of {plan.source} falls into the {side} part: hold out otherwise.")
    shapes = [
        json.loads(shape) for (shape,) in journal.ask(f"SELECT DISTINCT shape FROM members WHERE {used}", of_side)
    ]
    meta = DatasetMeta(
        modality=plan.modality,
        source=plan.source,
        sample_rate=plan.sample_rate,
        classes=plan.classes,
        rejected=_rejected(folder, side, journal),
        converted=_converted(journal, used, of_side),
        preparation=plan.settings,
        count=count,
        shape=(shapes[0][-1], max(shape[0] for shape in shapes), *shapes[0][1:-1]),
    )
    shards = list(_shards(folder, journal, side, meta, sharding))
    names = (tuple(each.name for each in shards), tuple(len(each.places) for each in shards))
    listed = ShardList(FORMAT, *names, tuple(each.size for each in shards), tuple(each.sha256 for each in shards))
    places = np.concatenate([each.places for each in shards])
    labels = _column(journal, "label", used, of_side, {name: n for n, name in enumerate(meta.classes or ())})
    lengths = _column(journal, "length", used, of_side) if plan.modality == "audio" else None
    query = f"SELECT text FROM members JOIN captions USING (stem) WHERE {used} ORDER BY name"
    captions = [text for (text,) in journal.ask(query, of_side)] if sharding.captions else None
    meta = write_index(folder, listed, places, labels, lengths, captions, meta=meta)
    meta = replace(meta, statistics=measure(open_dataset(folder), Sums(total, squares)))
    meta.write(folder)
    return meta


def _shards(folder: Path, journal: Journal, side: str, meta: DatasetMeta, sharding: Sharding) -> Iterator[WrittenShard]:
    """Write all shards of a side, in this process or in several."""
    numbers = {name: number for number, name in enumerate(meta.classes or ())}
    rows = journal.ask(
        "SELECT start, size, checksum, label, text FROM members LEFT JOIN captions USING (stem) "
        f"WHERE {USED} AND side = ? ORDER BY name",
        (side,),
    )
    pieces = (
        Piece(f"{number:09}", start, size, checksum, numbers.get(label), text if sharding.captions else None)
        for number, (start, size, checksum, label, text) in enumerate(rows)
    )
    groups = enumerate(iter(lambda: list(islice(pieces, sharding.samples)), []))
    tasks = ((folder / f"shard-{n:06}.tar", journal.contents, group, SUFFIXES[meta.modality]) for n, group in groups)
    if sharding.workers == 1 or meta.count < BUSY_FROM:
        yield from (write_shard(*task) for task in tasks)
        return
    with ProcessPoolExecutor(sharding.workers, get_context("spawn"), initializer=start_worker) as pool:
        while ahead := list(islice(tasks, 2 * sharding.workers)):
            yield from pool.map(write_shard, *zip(*ahead, strict=True))


def _rejected(folder: Path, side: str, journal: Journal) -> dict[str, int]:
    """Write ``rejected.tsv``; how many files were left out for each reason."""
    found: Counter[str] = Counter()
    with (folder / "rejected.tsv").open("w", encoding="utf-8") as file:
        file.write("path\treason\n")
        query = "SELECT name, reason, detail FROM members WHERE reason IS NOT NULL AND side = ? ORDER BY name, reason"
        for name, reason, detail in journal.ask(query, (side,)):
            file.write(f"{name}\t{Rejected(reason, detail or '')}\n")
            found[reason] += 1
    return dict(found.most_common())


def _converted(journal: Journal, used: str, of_side: Iterable[str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    query = f"SELECT converted, count(*) FROM members WHERE {used} GROUP BY converted ORDER BY min(name)"
    for converted, count in journal.ask(query, tuple(of_side)):
        found.update(dict.fromkeys(json.loads(converted), count))
    return dict(found.most_common())


def _column(
    journal: Journal, name: str, used: str, of_side: Sequence[str], numbers: dict[str, int] | None = None
) -> np.ndarray | None:
    """Values of all samples of a side, int64 ``[N]``, or the numbers that stand for them; None where there are none."""
    if numbers == {}:
        return None
    values = journal.ask(f"SELECT {name} FROM members WHERE {used} ORDER BY name", of_side)
    return np.fromiter((value if numbers is None else numbers[value] for (value,) in values), np.int64)
