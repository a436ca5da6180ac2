"""The samples of many shards that go together: of one shape, one rate, all with or all without a class."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from data_prep.scanning import FoundSample, ScannedShard


@dataclass
class Gathered:
    """The samples of all shards so far that go together.

    Attributes:
        captions: whether samples without one are left out.
        sample_rate: Hz of arrays of sound, which do not say it.
        first: the sample whose shape and rate all others must have; sound may be of any length.
        names: of the shards; then what each of them holds.
        broken: shards that are no whole archives, and why.
    """

    captions: bool
    sample_rate: int | None = None
    first: FoundSample | None = None
    names: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, str]] = field(default_factory=list)
    total: float = 0.0
    squares: float = 0.0

    def add(self, name: str, shard: ScannedShard) -> None:
        """Another shard, of which the samples are kept that go with those before."""
        self.unknown += shard.unknown
        self.rejected += [(f"{name}/{key}", reason, detail) for key, reason, detail in shard.rejected]
        kept = [sample for sample in shard.samples if self._goes_with(name, sample)]
        if not kept:
            return
        self.names.append(name)
        self.counts.append(len(kept))
        self.sizes.append(shard.size)
        self.sha256.append(shard.sha256)
        self.places.append(np.array([sample.place for sample in kept], np.int64))
        self.lengths += [sample.shape[0] for sample in kept]
        self.labels += [sample.label for sample in kept]
        self.texts += [sample.caption or "" for sample in kept] if self.captions else []
        self.total += sum(sample.sums.total for sample in kept)
        self.squares += sum(sample.sums.squares for sample in kept)

    def _goes_with(self, name: str, sample: FoundSample) -> bool:
        why = self._problem(sample)
        if why is not None:
            self.rejected.append((f"{name}/{sample.key}", *why))
        return why is None

    def _problem(self, sample: FoundSample) -> tuple[str, str] | None:
        if len(sample.shape) == 3 and sample.shape[2] not in (1, 3):
            return "another shape", f"{list(sample.shape)}, and pictures have 1 or 3 channels"
        if len(sample.shape) == 2 and sample.rate is None and self.sample_rate is None:
            return "no sample rate", "arrays of sound do not say theirs: give --sample-rate"
        if self.captions and sample.caption is None:
            return "no caption", "it has neither .txt nor a caption in .json"
        self.first = first = self.first or sample
        free = 1 if len(first.shape) == 2 and len(sample.shape) == 2 else 0
        if sample.shape[free:] != first.shape[free:]:
            return "another shape", f"{list(sample.shape)}, the first has {list(first.shape)}"
        if self.rate_of(sample) != self.rate_of(first):
            return "another sample rate", f"{self.rate_of(sample)} Hz, the first has {self.rate_of(first)} Hz"
        if (sample.label is None) != (first.label is None):
            return "no label" if sample.label is None else "a label", "unlike the first sample"
        return None

    def rate_of(self, sample: FoundSample) -> int | None:
        """In Hz; None of pictures."""
        return None if len(sample.shape) == 3 else sample.rate or self.sample_rate
