"""Samples as files of tar shards: PNG and FLAC, which lose nothing."""

import io
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from data_prep.decoding import Decoder
from data_prep.samples import Decoded, EncodedSample, Rejected, Sample
from data_prep.statistics import sums_of
from mmspec.errors import InputError

SUFFIXES = {"image": "png", "audio": "flac"}
MOST_FLAC_HZ, MOST_FLAC_CHANNELS = 655_350, 8


@dataclass(frozen=True)
class EncodingDecoder:
    """What another decoder gives, with samples encoded.

    Attributes:
        decoder: of pictures or recordings.
        sample_rate: Hz of the recordings; None for pictures.
    """

    decoder: Decoder
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if (self.sample_rate or 0) > MOST_FLAC_HZ:
            raise InputError(f"--shards keeps sound as FLAC, of up to {MOST_FLAC_HZ:,} Hz: leave it out.")

    def __call__(self, name: str, content: bytes) -> Decoded:
        """Decode one file.

        Raises:
            Rejected: if the other decoder does, or the sample has more channels than FLAC keeps.
        """
        decoded = self.decoder(name, content)
        if not isinstance(decoded, Sample):
            return decoded
        found = sums_of(decoded.data)
        of_sample = {field.name: getattr(decoded, field.name) for field in fields(Sample)}
        return EncodedSample(
            **{**of_sample, "data": decoded.data[:0]},
            content=_png(decoded.data) if self.sample_rate is None else self._flac(decoded),
            shape=decoded.data.shape,
            total=found.total,
            squares=found.squares,
        )

    def _flac(self, sample: Sample) -> bytes:
        if sample.data.shape[1] > MOST_FLAC_CHANNELS:
            raise Rejected("too many channels", f"{sample.data.shape[1]}, and FLAC keeps {MOST_FLAC_CHANNELS}")
        file = io.BytesIO()
        import soundfile  # which pictures do not need

        soundfile.write(file, sample.data[: sample.length], self.sample_rate, format="FLAC", subtype="PCM_16")
        return file.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
