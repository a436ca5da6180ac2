"""Which judges a configuration of ``mmspec evaluate`` calls, and what they say."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.data.crops import Recordings, side_by_side
from mmspec.errors import InputError
from mmspec.metrics.audio import FrechetAudioJudge, Listener, OpinionJudge
from mmspec.metrics.diversity import BinsJudge
from mmspec.metrics.evaluation import of_stretches
from mmspec.metrics.inception import InceptionJudge
from mmspec.metrics.judge import Judge, Signals, Verdict, extract, extract_once
from mmspec.metrics.speech import PairJudge

OF_PICTURES, OF_AUDIO = ("extractors.inception",), ("extractors.fad", "extractors.utmos", "ndb_bins")


class Panel:
    """The judges that a configuration names.

    Args:
        cfg: the configuration of ``mmspec evaluate``.
        reference: real signals.
        samples: generated signals.
        device: where networks run.
        crop: compare stretches of so many samples, except by what hears recordings of any length.
        paired: the clips that the samples should be, or None.

    Raises:
        InputError: if a key is for the other modality, or what it names cannot be used.
    """

    def __init__(
        self,
        cfg: Mapping[str, Any],
        reference: PackedDataset,
        samples: PackedDataset,
        device: torch.device,
        crop: int | None,
        paired: Path | None,
    ) -> None:
        self.reference, self.samples, self.crop = reference, samples, crop
        self.batch_size, self.device = cfg["batch_size"], device
        self.cache = Path(cfg["extractors"]["cache"]) if cfg["extractors"]["cache"] else None
        _refuse_other_modality(cfg, reference)
        self.judges = list(_judges(cfg, reference.meta.sample_rate, device))
        self.pairs = None
        if paired is not None:
            self.pairs = PairJudge(PackedDataset(paired), samples, cfg["perceptual"])
        elif cfg["perceptual"]:
            raise InputError("perceptual=true compares pairs: give paired=FOLDER, the clips that samples should be.")

    def verdict(self, dataset: PackedDataset, indices: Tensor) -> Verdict:
        """On the signals of a data set at ``indices``, ``[N]``, and on their pairs where these are the samples."""
        verdict = Verdict([], [])
        for judge, real in zip(self.judges, self._real, strict=True):
            signals, rows = self._heard(judge, dataset, indices)
            found = judge.compare(real, extract(judge.extractor, signals, rows, self.batch_size, self.device))
            if not judge.extractor.any_length:
                found = Verdict(of_stretches(found.metrics, self.crop), found.warnings)
            verdict += found
        return verdict + self.pairs.verdict() if self.pairs and dataset is self.samples else verdict

    @cached_property
    def _real(self) -> list[Tensor]:
        everything = torch.arange(len(self.reference))
        heard = [self._heard(judge, self.reference, everything)[0] for judge in self.judges]
        return [
            extract_once(judge, signals, self.cache, self.batch_size, self.device)
            for judge, signals in zip(self.judges, heard, strict=True)
        ]

    def _heard(self, judge: Judge, dataset: PackedDataset, indices: Tensor) -> tuple[Signals, Tensor]:
        """What a judge is given of a data set, and where in it ``indices``, ``[N]``, are."""
        if not judge.extractor.any_length:
            return side_by_side(dataset, indices, self.crop)
        cut = self.reference.lengths is not None and self.samples.lengths is not None  # or one side has its silence
        return Recordings(dataset) if cut else dataset, indices


def _judges(cfg: Mapping[str, Any], sample_rate: int | None, device: torch.device) -> Iterator[Judge]:
    extractors = cfg["extractors"]
    if extractors["inception"] is not None:
        yield InceptionJudge(extractors["inception"], device)
    if sample_rate is None:
        return
    for name, judge in (("fad", FrechetAudioJudge), ("utmos", OpinionJudge)):
        if extractors[name] is not None:
            yield judge(Listener(name, extractors[name], sample_rate, extractors["sample_rate"]))
    if cfg["ndb_bins"] is not None:
        yield BinsJudge(cfg["ndb_bins"], sample_rate)


def _refuse_other_modality(cfg: Mapping[str, Any], reference: PackedDataset) -> None:
    audio = reference.meta.sample_rate is not None
    for key in OF_PICTURES if audio else OF_AUDIO:
        group, _, name = key.rpartition(".")
        if (cfg[group][name] if group else cfg[name]) is not None:
            ours, theirs = ("pictures", "audio") if audio else ("audio", "pictures")
            raise InputError(f"{key} is for {ours}, {reference.folder} holds {theirs}: leave it out.")
