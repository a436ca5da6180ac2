"""Metrics of generated clips that have a real partner each, as a vocoder's have: MR-STFT, PESQ and STOI."""

import math
import warnings
from collections.abc import Callable, Iterator

from torch import Tensor

from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.losses.stft import AUDIO, MultiResolutionSTFTLoss
from mmspec.metrics.audio import at_rate, mono_at
from mmspec.metrics.evaluation import Metric
from mmspec.metrics.judge import Verdict
from mmspec.spectral.stft import fits

Score = Callable[[Tensor, Tensor], float]  # real and generated clip, [1, C, T] -> a number, NaN where it has none


class PairJudge:
    """Means over pairs of the n-th real and the n-th generated clip, each cut to the real one's valid samples.

    Args:
        real: what the clips should be; there may be more of them.
        generated: what they are.
        perceptual: PESQ and STOI too.

    Raises:
        InputError: if the sets are no pairs of clips, or PESQ and STOI are asked for and not installed.
    """

    def __init__(self, real: PackedDataset, generated: PackedDataset, perceptual: bool = False) -> None:
        rate = _common_rate(real, generated)
        self.real, self.generated = real, generated
        self.scores: dict[str, tuple[Score, str]] = {"mr_stft": _mr_stft()}
        if perceptual:
            self.scores |= {"pesq": _pesq(rate), "stoi": _stoi(rate)}

    def verdict(self) -> Verdict:
        """Each score that at least one pair has; a warning counts the pairs without."""
        values: dict[str, list[float]] = {name: [] for name in self.scores}
        for pair in _pairs(self.real, self.generated):
            for name, (score, _) in self.scores.items():
                values[name].append(score(*pair))
        verdict = Verdict([], [])
        for name, (_, definition) in self.scores.items():
            valid = [value for value in values[name] if not math.isnan(value)]
            if valid:
                text = f"{definition}; mean of {len(valid):,} pairs of a generated and a real clip."
                verdict.metrics.append(Metric(name, sum(valid) / len(valid), text))
            if missing := len(self.generated) - len(valid):
                note = f"{missing:,} of {len(self.generated):,} pairs are too short or hold no speech for {name}."
                verdict.warnings.append(note)
        return verdict


def _common_rate(real: PackedDataset, generated: PackedDataset) -> int:
    rate = real.meta.sample_rate
    if rate is None:
        raise InputError(f"paired={real.folder} holds pictures: expected the clips that the samples should be.")
    for key in ("count", "shape", "sample_rate"):
        theirs, ours = getattr(real.meta, key), getattr(generated.meta, key)
        if ours > theirs if key == "count" else ours != theirs:
            raise InputError(
                f"paired={real.folder} has {key} {theirs} but {generated.folder} has {ours}: the n-th clip of one "
                "must belong to the n-th of the other."
            )
    return rate


def _pairs(real: PackedDataset, generated: PackedDataset) -> Iterator[tuple[Tensor, Tensor]]:
    """``(real, generated)``, each ``[1, C, T]``."""
    for i in range(len(generated)):
        length = real.meta.shape[-1] if real.lengths is None else int(real.lengths[i])
        (x, _), (y, _) = real.batch([i]), generated.batch([i])
        yield x[..., :length], y[..., :length]


def _mr_stft() -> tuple[Score, str]:
    loss = MultiResolutionSTFTLoss()
    sizes = [resolution.n_fft for resolution in AUDIO]

    def score(real: Tensor, generated: Tensor) -> float:
        if not fits(min(sizes), real.shape[2:]):
            return math.nan
        with warnings.catch_warnings():  # that a resolution does not fit, which the definition says
            warnings.simplefilter("ignore", UserWarning)
            return loss(generated, real).item()

    return score, (
        "Multi-resolution STFT distance (Yamamoto et al. 2020): spectral convergence plus mean absolute difference of "
        f"natural log magnitudes, averaged over those transforms of {', '.join(map(str, sizes))} samples that fit a "
        "clip; lower is better"
    )


def _pesq(rate: int) -> tuple[Score, str]:
    try:
        from pesq import BufferTooShortError, NoUtterancesError, pesq
    except ImportError:
        raise _missing_extra() from None
    wanted, mode, norm = (16000, "wb", "P.862.2, wide band") if rate >= 16000 else (8000, "nb", "P.862, narrow band")

    def score(real: Tensor, generated: Tensor) -> float:
        clips = [mono_at(x, rate, wanted)[0].numpy() for x in (real, generated)]
        if not any(clip.any() for clip in clips):  # which pesq would divide by
            return math.nan
        try:
            return float(pesq(wanted, *clips, mode))
        except (NoUtterancesError, BufferTooShortError):
            return math.nan

    return score, f"PESQ (ITU-T {norm}), in mono {at_rate(rate, wanted)}; higher is better"


def _stoi(rate: int) -> tuple[Score, str]:
    try:
        from pystoi import stoi
    except ImportError:
        raise _missing_extra() from None

    def score(real: Tensor, generated: Tensor) -> float:
        clips = [mono_at(x, rate, rate)[0].double().numpy() for x in (real, generated)]
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                return float(stoi(*clips, rate))
            except RuntimeWarning:  # too few frames that are not silent
                return math.nan

    return score, f"STOI (Taal et al. 2011), in mono {at_rate(rate, 10000)}; higher is better"


def _missing_extra() -> InputError:
    return InputError("perceptual=true needs PESQ and STOI: pip install 'mmspec[eval-speech]'.")
