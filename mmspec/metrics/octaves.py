"""What each octave of each signal of a set holds: energy by channel and orientation, and how its structure is phased.

Mean spectra do not see phases: noise of a picture's spectrum has its energies in every octave, and no edge. The
kurtosis of wavelet coefficients (3 of noise, more where energy is gathered in few places) and their coherence across
scales (edges and onsets stand at one place in all octaves) do (Field 1987; Simoncelli 1999).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmspec.metrics.signals import SignalSet
from mmspec.spectral import (
    mirrored,
    octave_edges,
    octave_energy,
    oriented_octave_energy,
    radial_power_spectrum,
    tapered,
)
from mmspec.spectral.octaves import ORIENTATIONS
from mmspec.spectral.wavelet import decompose

FRAME_SECONDS = 0.128  # of sound: 8 Hz apart, so that the lowest octave begins below what is heard
WAVELET, MODE = "sym4", "periodization"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
SILENCE = 1e-20  # mean square of rounding, far below the steps of any file
CHROMA = ((-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))


@dataclass(frozen=True)
class Octaves:
    """Which octaves, channels and orientations a description has.

    Attributes:
        unit: "cycles/image" or "Hz".
        edges: where octaves begin and end, ascending from 0, one more than there are octaves.
        channels: "all", the sum over all; then "luma" and "chroma" of colour, "mid" and "side" of stereo sound.
        orientations: "horizontal", "vertical", "diagonal" of pictures; "all" of sound.
    """

    unit: str
    edges: tuple[float, ...]
    channels: tuple[str, ...]
    orientations: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.edges) - 1


@dataclass(frozen=True)
class Description:
    """Of N signals.

    Attributes:
        octaves: what the axes of the others stand for.
        energy: ``[N, channels, octaves, orientations]`` float64, in the squared unit of the signals.
        kurtosis: ``[N, octaves]`` float64, of wavelet coefficients; 3 of Gaussian noise, and where there is silence.
        coherence: ``[N, octaves]`` float64, correlation of the coefficients' magnitudes with those of the octave below
            at the same place, in [-1, 1]; 0 of the lowest octave.
        frequency: ``[bins]`` float64, of ``power``, in the unit of the octaves.
        power: ``[N, bins]`` float64, radial mean over channels.
    """

    octaves: Octaves
    energy: Tensor
    kurtosis: Tensor
    coherence: Tensor
    frequency: Tensor
    power: Tensor

    def __len__(self) -> int:
        return len(self.energy)


class Describing:
    """Describes a set of signals as its batches arrive; a few hundred numbers a signal are kept.

    Pictures are mirrored at their borders, sound is taken in frames of some 0.128 s that fade: ends which differ put no
    energy elsewhere. Silence behind recordings, as the set's ``lengths`` tell it, counts as nothing.

    Args:
        signals: the set.
    """

    def __init__(self, signals: SignalSet) -> None:
        self._rate, self._lengths, self._done = signals.sample_rate, signals.lengths, 0
        size = signals.shape[1:]
        self._frame = _frame_samples(signals.sample_rate) if signals.sample_rate is not None else 0
        channels = _channels(signals.shape[0], signals.sample_rate)
        if signals.sample_rate is None:
            self.octaves = Octaves("cycles/image", tuple(octave_edges(size)), channels, ORIENTATIONS)
        else:
            edges = octave_edges((self._frame,), _sound_octaves(self._frame))
            in_hertz = tuple(edge * signals.sample_rate / self._frame for edge in edges)
            self.octaves = Octaves("Hz", in_hertz, channels, ("all",))
        self._parts: list[tuple[Tensor, ...]] = []
        self._frequency = torch.zeros(0)

    def update(self, x: Tensor) -> None:
        """Add a batch of signals, ``[B, C, *spatial]``."""
        lengths = torch.full((len(x),), x.shape[2]) if self._lengths is None else self._lengths[self._done :][: len(x)]
        self._done += len(x)
        energy, power = self._pictures(x) if self._rate is None else self._sound(x, lengths.to(x.device))
        share = lengths.to(x.device) / x.shape[2] if self._rate is not None else x.new_ones(len(x))
        structure = _structure(x.mean(1, keepdim=True), len(self.octaves), share)
        self._parts.append(tuple(part.cpu().double() for part in (energy, *structure, power)))

    def result(self) -> Description:
        """All signals so far; ValueError before the first batch."""
        if not self._parts:
            raise ValueError("a description needs at least one signal.")
        energy, kurtosis, coherence, power = (torch.cat(parts) for parts in zip(*self._parts, strict=True))
        return Description(self.octaves, energy, kurtosis, coherence, self._frequency.cpu().double(), power)

    def _pictures(self, x: Tensor) -> tuple[Tensor, Tensor]:
        whole = mirrored(x)
        energy = oriented_octave_energy(_with_mixtures(whole, self.octaves.channels), len(self.octaves))
        cycles, power = radial_power_spectrum(whole)
        self._frequency = cycles / 2
        return _by_channel(energy, x.shape[1]), power.mean(1)

    def _sound(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = self._frames(_with_mixtures(x, self.octaves.channels))
        per_sample = self._frame / 2 / lengths  # frames stand half a frame apart
        energy = octave_energy(frames.flatten(1, 2), len(self.octaves)).reshape(*frames.shape[:3], -1).sum(2)
        own = frames[:, : x.shape[1]]
        self._frequency, power = radial_power_spectrum(own.flatten(1, 2), self._rate)
        by_channel = _by_channel(energy * per_sample[:, None, None], x.shape[1])
        return by_channel[..., None], power.sum(1) * per_sample[:, None] / x.shape[1]

    def _frames(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` -> ``[B, C, frames, samples]``, faded, the first and the last half outside."""
        half = self._frame // 2
        behind = -x.shape[-1] % half + half
        frames = functional.pad(x, (half, behind)).unfold(-1, self._frame, half)
        shape = frames.shape
        return tapered(frames.flatten(1, 2)).reshape(shape)


def described(signals: SignalSet) -> Describing:
    """Of a set, to be found by `SignalSet.statistic`."""
    return Describing(signals)


def _frame_samples(rate: int) -> int:
    """A power of two."""
    return int(max(16, 2 ** round(torch.tensor(FRAME_SECONDS * rate).log2().item())))


def _sound_octaves(frame: int) -> int:
    """Those with more than a few frequencies: at 8 kHz the lowest ends at 62.5 Hz."""
    return max(1, len(octave_edges((frame,))) - 3)


def _channels(count: int, rate: int | None) -> tuple[str, ...]:
    if rate is None:
        return ("all", "luma", "chroma") if count == 3 else ("all",)
    return ("all", "mid", "side") if count == 2 else ("all",)


def _with_mixtures(x: Tensor, names: Sequence[str]) -> Tensor:
    """The channels, and behind them Y, Cb, Cr of colour, or middle and side of stereo sound."""
    matrix = (LUMA, *CHROMA) if "luma" in names else ((0.5, 0.5), (0.5, -0.5)) if "mid" in names else ()
    mixed = [sum(x[:, i] * weight for i, weight in enumerate(row)) for row in matrix]
    return torch.cat([x, *(channel[:, None] for channel in mixed)], 1)  # type: ignore[index]


def _by_channel(energy: Tensor, own: int) -> Tensor:
    """``[B, channels, ...]``: the sum over all, and mixtures; both kinds of chroma are one."""
    mixed = energy[:, own:]
    rest = [mixed[:, :1], mixed[:, 1:].sum(1, keepdim=True)] if mixed.shape[1] else []
    return torch.cat([energy[:, :own].sum(1, keepdim=True), *rest], 1)


def _structure(x: Tensor, octaves: int, share: Tensor) -> tuple[Tensor, Tensor]:
    """Kurtosis and coherence by octave of ``[B, 1, *spatial]``, of which a share ``[B]`` from the start is signal."""
    _, details = decompose(x.double(), WAVELET, MODE, octaves)
    kurtosis = [torch.stack([_kurtosis(band, share) for band in bands]).mean(0) for bands in details]
    coherence = [torch.zeros_like(share)]
    for below, bands in itertools.pairwise(details):
        both = [_coherence(band, parent, share) for band, parent in zip(bands, below, strict=True)]
        coherence.append(torch.stack(both).mean(0))
    return torch.stack(kurtosis, 1), torch.stack(coherence, 1)


def _kurtosis(band: Tensor, share: Tensor) -> Tensor:
    square = band.flatten(1).square()
    count = (share * square.shape[1]).clamp_min(1)
    energy = square.sum(1)
    silent = energy <= SILENCE * count
    return torch.where(silent, 3.0, count * square.square().sum(1) / energy.clamp_min(SILENCE).square())


def _coherence(band: Tensor, parent: Tensor, share: Tensor) -> Tensor:
    """Pearson's correlation of magnitudes, those of the finer band averaged over each place of the coarser."""
    pool = functional.avg_pool2d if band.ndim == 4 else functional.avg_pool1d
    ours, theirs = pool(band.abs(), 2, ceil_mode=True), parent.abs()
    a, b = ours.flatten(1), theirs.flatten(1)
    count = (share * a.shape[1]).clamp_min(1)

    def covariance(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum(1) / count - x.sum(1) * y.sum(1) / count.square()

    spread = (covariance(a, a) * covariance(b, b)).clamp_min(0).sqrt()
    return torch.where(spread > SILENCE, covariance(a, b) / spread.clamp_min(SILENCE), 0.0).clamp(-1, 1)
