"""Measures of generated clips that have a real partner each, as a vocoder's have: MR-STFT, PESQ and STOI."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Iterator

from torch import Tensor

from mmspec.errors import InputError
from mmspec.losses.stft import AUDIO, MultiResolutionSTFTLoss
from mmspec.metrics.audio import at_rate, mono_at
from mmspec.metrics.measure import Better, Measure, Metric, Verdict
from mmspec.metrics.signals import SignalSet
from mmspec.spectral.stft import fits


class PairMeasure(Measure):
    """Mean score of pairs of the n-th real and the n-th generated clip, each cut to the real one's valid samples.

    Attributes:
        name: of the metric.
        definition: of the score of a pair, without a full stop.
        unit: of the score.
        better: which scores are better; None where there is no best.
    """

    takes = "pairs"
    name: str
    definition: str
    unit: str = ""
    better: Better | None = None

    @abstractmethod
    def score(self, real: Tensor, generated: Tensor) -> float:
        """Of one pair, each ``[1, C, T]``; NaN where it has none."""

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """The mean over the pairs that have a score, if there are any; a warning counts those that have none."""
        scores = [self.score(*pair) for pair in pairs(real, generated)]
        valid = [score for score in scores if not math.isnan(score)]
        verdict = Verdict()
        if valid:
            text = f"{self.definition}; mean of {len(valid):,} pairs of a generated and a real clip."
            verdict.metrics.append(Metric(self.name, sum(valid) / len(valid), text, self.unit, self.better))
        if missing := len(scores) - len(valid):
            note = f"{missing:,} of {len(scores):,} pairs are too short or hold no speech for {self.name}."
            verdict.warnings.append(note)
        return verdict


def pairs(real: SignalSet, generated: SignalSet) -> Iterator[tuple[Tensor, Tensor]]:
    """``(real, generated)``, each ``[1, C, T]``, of two sets of as many clips in batches of one size."""
    start = 0
    for x, y in zip(real, generated, strict=True):
        for i in range(len(x)):
            length = x.shape[-1] if real.lengths is None else int(real.lengths[start + i])
            yield x[i : i + 1, ..., :length], y[i : i + 1, ..., :length]
        start += len(x)


class MultiResolutionSTFT(PairMeasure):
    """``mr_stft``, see `mmspec.losses.MultiResolutionSTFTLoss`."""

    name = "mr_stft"
    definition = (
        "Multi-resolution STFT distance (Yamamoto et al. 2020): spectral convergence plus mean absolute difference of "
        f"natural log magnitudes, averaged over those transforms of {', '.join(str(r.n_fft) for r in AUDIO)} samples "
        "that fit a clip"
    )
    better = "lower"

    def __init__(self) -> None:
        self.loss = MultiResolutionSTFTLoss()

    def score(self, real: Tensor, generated: Tensor) -> float:
        if not fits(min(resolution.n_fft for resolution in AUDIO), real.shape[2:]):
            return math.nan
        with warnings.catch_warnings():  # that a resolution does not fit, which the definition says
            warnings.simplefilter("ignore", UserWarning)
            return float(self.loss(generated, real))


class PESQ(PairMeasure):
    """``pesq``, ITU-T P.862.2 of clips of 16 kHz and more, P.862 of others; by the package of that name.

    Args:
        sample_rate: of the clips, in Hz.

    Raises:
        InputError: if it is not installed.
    """

    name = "pesq"
    better = "higher"

    def __init__(self, sample_rate: int) -> None:
        try:
            import pesq
        except ImportError:
            raise _missing_extra() from None
        self._pesq, self.sample_rate = pesq, sample_rate
        wide = sample_rate >= 16000
        self.wanted, self.mode = (16000, "wb") if wide else (8000, "nb")
        norm = "P.862.2, wide band" if wide else "P.862, narrow band"
        self.definition = f"PESQ (ITU-T {norm}), in mono {at_rate(sample_rate, self.wanted)}"

    def score(self, real: Tensor, generated: Tensor) -> float:
        clips = [mono_at(x, self.sample_rate, self.wanted)[0].numpy() for x in (real, generated)]
        if not any(clip.any() for clip in clips):  # which pesq would divide by
            return math.nan
        try:
            return float(self._pesq.pesq(self.wanted, *clips, self.mode))
        except (self._pesq.NoUtterancesError, self._pesq.BufferTooShortError):
            return math.nan


class STOI(PairMeasure):
    """``stoi`` (Taal et al. 2011), by the package pystoi.

    Args:
        sample_rate: of the clips, in Hz.

    Raises:
        InputError: if it is not installed.
    """

    name = "stoi"
    better = "higher"

    def __init__(self, sample_rate: int) -> None:
        try:
            from pystoi import stoi
        except ImportError:
            raise _missing_extra() from None
        self._stoi, self.sample_rate = stoi, sample_rate
        self.definition = f"STOI (Taal et al. 2011), in mono {at_rate(sample_rate, 10000)}"

    def score(self, real: Tensor, generated: Tensor) -> float:
        clips = [mono_at(x, self.sample_rate, self.sample_rate)[0].double().numpy() for x in (real, generated)]
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                return float(self._stoi(*clips, self.sample_rate))
            except RuntimeWarning:  # too few frames that are not silent
                return math.nan


def _missing_extra() -> InputError:
    return InputError("perceptual=true needs PESQ and STOI: pip install 'mmspec[eval-speech]'.")
