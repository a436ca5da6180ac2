"""What may be done to a whole recording before it is stored, and which recordings are stored at all."""

from dataclasses import dataclass, fields

import numpy as np

from data_prep.loudness import loudness
from data_prep.samples import Rejected

SILENCE = 0.001  # of full scale, -60 dB: a recording that stays below is silence


@dataclass(frozen=True)
class Conditioning:
    """Applied in the order of the attributes; what is None or False is not.

    Attributes:
        remove_dc: subtract the mean of each channel.
        drop_silence: leave out recordings in which nothing is above -60 dB of full scale.
        trim: decibels below the largest value: what is quieter, at the beginning and the end, is cut off.
        shortest: seconds; shorter recordings are left out.
        longest: seconds; longer recordings are left out.
        loudness: LUFS, by ITU-R BS.1770-4, to which every recording is scaled; silence stays as it is.
    """

    remove_dc: bool = False
    drop_silence: bool = False
    trim: float | None = None
    shortest: float | None = None
    longest: float | None = None
    loudness: float | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) not in (None, False) for field in fields(self))

    def __call__(self, sound: np.ndarray, rate: int) -> tuple[np.ndarray, list[str]]:
        """From float32 ``[T, C]`` at full scale 1 and its rate in Hz: the same conditioned, and what is worth counting.

        Raises:
            Rejected: if it is silence, or of another length than those that are wanted.
        """
        converted = []
        if self.remove_dc:
            sound = sound - sound.mean(0, dtype=np.float64).astype(np.float32)
        if self.drop_silence and np.abs(sound).max() <= SILENCE:
            raise Rejected("silence")
        if self.trim is not None and len(kept := trimmed(sound, self.trim)) < len(sound):
            sound = kept
            converted.append("trimmed")
        self._check(len(sound) / rate)
        if self.loudness is not None:
            sound = sound * gain(sound, rate, self.loudness)
        return sound, converted

    def _check(self, seconds: float) -> None:
        if self.shortest is not None and seconds < self.shortest:
            raise Rejected("too short", f"{seconds:.3f} s, and {self.shortest:g} are wanted")
        if self.longest is not None and seconds > self.longest:
            raise Rejected("too long", f"{seconds:.3f} s, and at most {self.longest:g} are wanted")


def trimmed(sound: np.ndarray, decibels: float) -> np.ndarray:
    """``[T, C]`` from the first to the last value that is less than so much below the largest; silence as it is."""
    level = np.abs(sound).max(1)
    loud = np.flatnonzero(level > level.max() * 10 ** (-decibels / 20))
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound


def gain(sound: np.ndarray, rate: int, target: float) -> np.float32:
    """The factor that brings ``[T, C]`` to a loudness in LUFS; 1 for silence.

    Raises:
        Rejected: if it is shorter than what loudness is measured over.
    """
    try:
        found = loudness(sound, rate)
    except ValueError as error:
        raise Rejected("too short", str(error)) from None
    return np.float32(10 ** ((target - found) / 20)) if np.isfinite(found) else np.float32(1)
