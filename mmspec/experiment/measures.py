"""Which measures a configuration of ``mmspec evaluate`` names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmspec.components import Component
from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.metrics.audio import FrechetAudioDistance, MeanOpinionScore
from mmspec.metrics.diversity import DifferentBins
from mmspec.metrics.feature_distance import FeatureDistance
from mmspec.metrics.features import extractor
from mmspec.metrics.inception import InceptionDistance
from mmspec.metrics.measure import Measure
from mmspec.metrics.octave_bias import OctaveBias
from mmspec.metrics.spectrogram import SpectrogramDistance
from mmspec.metrics.spectrum import SpectralDistance
from mmspec.metrics.speech import PESQ, STOI, MultiResolutionSTFT


@dataclass(frozen=True)
class Extractors:
    """Networks from files, for measures that need one; the key ``extractors`` of conf/evaluate.yaml.

    Attributes:
        inception: a file, see `mmspec.metrics.inception.Inception`; None for no such measure, as below.
        fad: a file, see `mmspec.metrics.audio.FrechetAudioDistance`.
        utmos: a file, see `mmspec.metrics.audio.MeanOpinionScore`.
        sample_rate: that fad and utmos hear, in Hz.
        cache: folder that keeps what they find in the reference; None keeps none.
    """

    inception: Path | None
    fad: Path | None
    utmos: Path | None
    sample_rate: int
    cache: Path | None


@dataclass(frozen=True)
class MeasureOptions:
    """The keys of conf/evaluate.yaml that choose measures, where each is described."""

    features: str
    cutoff: float | None
    extractors: Extractors
    ndb_bins: int | None
    perceptual: bool
    measures: list[Component] | Component


def chosen_measures(options: MeasureOptions, reference: PackedDataset, paired: bool) -> list[Measure]:
    """The measures that options name, in the order of their metrics.

    Args:
        options: from a configuration.
        reference: the real signals.
        paired: whether the samples have partners.

    Raises:
        InputError: if a key is for the other modality or for pairs that there are not, or what it names is unknown or
            cannot be used.
    """
    _refuse_other_modality(options, reference)
    if options.perceptual and not paired:
        raise InputError("perceptual=true compares pairs: give paired=FOLDER, the clips that samples should be.")
    given = [options.measures] if isinstance(options.measures, Component) else options.measures
    own = [each.build(Measure, f"measures[{i}]") for i, each in enumerate(given)]
    for i, measure in enumerate(own):
        if measure.takes == "pairs" and not paired:
            raise InputError(f"measures[{i}] compares pairs: give paired=FOLDER, the clips that samples should be.")
    rate = reference.meta.sample_rate
    of_modality = _of_pictures(options) if rate is None else _of_sound(options, rate)
    features = extractor(options.features, reference.meta.shape[0], rate)
    measures: list[Measure] = [SpectralDistance(options.cutoff), OctaveBias()]
    measures += [SpectrogramDistance()] if rate is not None else []
    measures += [FeatureDistance(features), *of_modality]
    measures += _of_pairs(options, rate) if paired and rate is not None else []
    return measures + own


def _of_pictures(options: MeasureOptions) -> Iterator[Measure]:
    if options.extractors.inception is not None:
        yield InceptionDistance(options.extractors.inception)


def _of_sound(options: MeasureOptions, sample_rate: int) -> Iterator[Measure]:
    files = options.extractors
    if files.fad is not None:
        yield FrechetAudioDistance(files.fad, sample_rate, files.sample_rate)
    if files.utmos is not None:
        yield MeanOpinionScore(files.utmos, sample_rate, files.sample_rate)
    if options.ndb_bins is not None:
        yield DifferentBins(options.ndb_bins, sample_rate)


def _of_pairs(options: MeasureOptions, sample_rate: int) -> list[Measure]:
    perceptual = [PESQ(sample_rate), STOI(sample_rate)] if options.perceptual else []
    return [MultiResolutionSTFT(), *perceptual]


def _refuse_other_modality(options: MeasureOptions, reference: PackedDataset) -> None:
    files = options.extractors
    of_pictures = {"extractors.inception": files.inception}
    of_sound = {"extractors.fad": files.fad, "extractors.utmos": files.utmos, "ndb_bins": options.ndb_bins}
    audio = reference.meta.sample_rate is not None
    for key, value in (of_pictures if audio else of_sound).items():
        if value is not None:
            ours, theirs = ("pictures", "audio") if audio else ("audio", "pictures")
            raise InputError(f"{key} is for {ours}, {reference.folder} holds {theirs}: leave it out.")
