"""Measures of generated clips that have a real partner each, as a vocoder's have: MR-STFT, PESQ and STOI."""

import math
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from mmspec.errors import InputError
from mmspec.losses.stft import AUDIO, QUIET, MultiResolutionSTFTLoss
from mmspec.metrics.audio import at_rate, mono_at
from mmspec.metrics.measure import Better, Measure, Metric, Verdict
from mmspec.metrics.pesq_process import PESQProcess
from mmspec.metrics.signals import SignalSet
from mmspec.spectral.stft import fits

# A clip whose root mean square is 18 dB below the mean of the real clips is all but silent: dither, a constant, hum, a
# click. So is one below `QUIET`, from which on the loss is auraloss's.
SOFT = 0.125
NO_SPEECH = "are too short or hold no speech"


class Unscored(Exception):
    """A pair has no score; the message, such as "are too short", says of all such pairs why."""


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
        """Of one pair, each ``[1, C, T]``.

        Raises:
            Unscored: if it has none.
        """

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """The mean over the pairs that have a score, if there are any; warnings count those that have none."""
        scores: list[float] = []
        reasons: Counter[str] = Counter()
        for pair in pairs(real, generated):
            try:
                scores.append(self.score(*pair))
            except Unscored as error:
                reasons[str(error)] += 1
        verdict = Verdict()
        if scores:
            text = f"{self.definition}; mean of {len(scores):,} pairs of a generated and a real clip."
            verdict.metrics.append(Metric(self.name, sum(scores) / len(scores), text, self.unit, self.better))
        for reason, count in reasons.items():
            verdict.warnings.append(f"{count:,} of {len(generated):,} pairs {reason} for {self.name}.")
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
    """``mr_stft``, see `mmspec.losses.MultiResolutionSTFTLoss`.

    Spectral convergence is relative to the real clip, so one that is all but silent among the others has no score.
    """

    name = "mr_stft"
    definition = (
        "Multi-resolution STFT distance (Yamamoto et al. 2020): spectral convergence plus mean absolute difference of "
        f"natural log magnitudes, averaged over those transforms of {', '.join(str(r.n_fft) for r in AUDIO)} samples "
        "that fit a clip"
    )
    better = "lower"

    def __init__(self) -> None:
        self.loss = MultiResolutionSTFTLoss()
        self._silence = QUIET

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``mr_stft``, see `PairMeasure.compare`."""
        levels = [_level(clip) for clip, _ in pairs(real, real)]
        self._silence = max(QUIET, SOFT * sum(levels) / max(len(levels), 1))
        return super().compare(real, generated)

    def score(self, real: Tensor, generated: Tensor) -> float:
        if not fits(min(resolution.n_fft for resolution in AUDIO), real.shape[2:]):
            raise Unscored("are too short")
        if _level(real) < self._silence:
            raise Unscored("have a real clip that is silent, or next to the others, which leaves no scale")
        with warnings.catch_warnings():  # that a resolution does not fit, which the definition says
            warnings.simplefilter("ignore", UserWarning)
            return float(self.loss(generated, real))


class PESQ(PairMeasure):
    """``pesq``, ITU-T P.862.2 of clips of 16 kHz and more, P.862 of others; by the package of that name.

    It runs in a process of its own, as it crashes on some clips. It has room for 50 utterances and computes nonsense of
    more, so that such clips have no score.

    Args:
        sample_rate: of the clips, in Hz.

    Raises:
        InputError: if it is not installed.
    """

    name = "pesq"
    better = "higher"
    utterances = 50

    def __init__(self, sample_rate: int) -> None:
        try:
            import pesq  # noqa: F401
        except ImportError:
            raise _missing_extra() from None
        self.sample_rate, self._process = sample_rate, PESQProcess()
        wide = sample_rate >= 16000
        self.wanted, self.mode = (16000, "wb") if wide else (8000, "nb")
        norm = "P.862.2, wide band" if wide else "P.862, narrow band"
        self.definition = f"PESQ (ITU-T {norm}), in mono {at_rate(sample_rate, self.wanted)}"

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``pesq``, see `PairMeasure.compare`."""
        with self._process:
            return super().compare(real, generated)

    def score(self, real: Tensor, generated: Tensor) -> float:
        clips = [mono_at(x, self.sample_rate, self.wanted)[0].numpy() for x in (real, generated)]
        if any(_utterances(clip, self.wanted) > self.utterances for clip in clips):
            raise Unscored(f"have more than {self.utterances} utterances, too many")
        try:
            score = self._process.score(self.wanted, *clips, self.mode)
        except ChildProcessError:
            raise Unscored("crash the package") from None
        if math.isnan(score):
            raise Unscored(NO_SPEECH)
        return score


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
            except Exception:  # too few frames that are not silent, or whatever is odd about a pair
                raise Unscored(NO_SPEECH) from None


def _level(clip: Tensor) -> float:
    """Root mean square of a clip, of any shape ``[...]``."""
    return clip.square().mean().sqrt().item()


def _utterances(clip: np.ndarray, sample_rate: int) -> int:
    """Stretches of a clip ``[T]`` between pauses of 200 ms, in which no 4 ms are above -40 dB of the loudest."""
    frame = sample_rate // 250
    level = np.square(clip[: len(clip) // frame * frame].reshape(-1, frame)).mean(1)
    loud = np.flatnonzero(level > 1e-4 * level.max(initial=0))
    return int((np.diff(loud) > 50).sum()) + 1


def _missing_extra() -> InputError:
    return InputError("perceptual=true needs PESQ and STOI: pip install 'mmspec[eval-speech]'.")
