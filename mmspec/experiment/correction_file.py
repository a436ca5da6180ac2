"""A correction on disk, with what it was calibrated for: it fits that alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmspec.diffusion import Denoiser
from mmspec.diffusion.correction import Correction
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.files import replace_text
from mmspec.typed import read, write

Format = Literal["mmspec-correction-1"]
FORMAT: Format = "mmspec-correction-1"
AGAIN = "calibrate for it with `mmspec calibrate`"


@dataclass(frozen=True)
class CalibratedFor:
    """What a correction belongs to.

    Attributes:
        denoiser: SHA-256 of its weights.
        shape: ``(C, *spatial)`` of its signals.
        sample_rate: of its sound, in Hz.
        guidance: scale of the classifier-free guidance; None without.
    """

    denoiser: str | None
    shape: tuple[int, ...] | None
    sample_rate: int | None
    guidance: float | None

    @classmethod
    def of(cls, denoiser: Denoiser, weights: str | None, guidance: float | None) -> "CalibratedFor":
        """Of a denoiser, the SHA-256 of its weights, and the guidance of its samples."""
        return cls(weights, denoiser.signal_shape, denoiser.sample_rate, guidance)


@dataclass(frozen=True)
class CorrectionFile:
    """The contents of a correction's JSON.

    Attributes:
        format: of the file.
        calibrated_for: what it fits.
        data: SHA-256 of the calibration set.
        signals: how many of it were used.
        command: that made it.
        correction: the gains.
    """

    format: Format
    calibrated_for: CalibratedFor
    data: str
    signals: int
    command: str
    correction: Correction

    def write(self, file: Path) -> None:
        """Write it, where there is no file yet."""
        content = {name: write(getattr(self, name)) for name in self.__dataclass_fields__}
        replace_text(file, json.dumps(content, indent=1) + "\n")


def read_correction(file: Path, wanted: CalibratedFor) -> Correction:
    """The correction in a file.

    Raises:
        InputError: if the file cannot be read, or the correction was calibrated for something else.
    """
    found = read(CorrectionFile, read_json(file), f"{file}:")
    for name, value in vars(wanted).items():
        if (other := getattr(found.calibrated_for, name)) != value:
            what = "weights of SHA-256" if name == "denoiser" else name
            raise InputError(f"{file} was calibrated for {what} {other}, not {value}: {AGAIN}.")
    return found.correction
