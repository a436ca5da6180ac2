"""Recordings of a folder or an archive -> a packed data set."""

import argparse
import io
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile

from data_prep.labels import LabelRule
from data_prep.options import add_source_options, number, whole_number
from data_prep.packing import Plan
from data_prep.preparation import prepare, run
from data_prep.samples import Rejected, Sample
from mmspec.data.packed import to_int16

CHANNEL_RULES = ("mono", "stereo", "keep")
# libsndfile cuts the length to what the file holds, and says so in its log only. A length that does not fit into the
# header's 31 bits is a stream's, which had not ended when its header was written.
SHORT_BYTES = re.compile(r"(?:^|\s)(?:data|SSND|riff|Data Size)\s*: (\d+) \(should be (\d+)\)")
SHORT_FRAMES = re.compile(r"Calculated frame count (\d+) does not match .* (\d+)\.")
STREAM = 0x7FFF0000
UNRECOGNISED = 1  # libsndfile's SF_ERR_UNRECOGNISED_FORMAT
EPILOG = """examples:
  python -m data_prep.audio free-spoken-digit-dataset.tar.gz data/fsdd --sample-rate 8000 --seconds 1.024 \\
      --label name:0 --holdout-pattern '*_[0-4].wav'
  python -m data_prep.audio LJSpeech-1.1/ data/lj --sample-rate 22050 --holdout-pattern 'LJ00[12]*'
"""


@dataclass(frozen=True)
class RecordingDecoder:
    """File content -> int16 ``[T, C]``: resampled, cut or padded at its end, clipped to [-1, 1].

    Attributes:
        sample_rate: in Hz.
        samples: T; None leaves every recording as long as it is.
        channel_rule: "mono" (the mean), "stereo" (mono doubled), or "keep".
        label: how the class is read off the path.
        peak: largest absolute value that every recording is scaled to; None leaves the levels as they are.
    """

    sample_rate: int
    samples: int | None
    channel_rule: str
    label: LabelRule
    peak: float | None = None

    def __call__(self, name: str, content: bytes) -> Sample:
        """Decode one file.

        Raises:
            Rejected: if it is no recording, or not a whole one, is empty or not finite, or has no label.
        """
        return self.sample(name, *read_sound(content))

    def sample(self, name: str, sound: np.ndarray, rate: int) -> Sample:
        """From all of a recording, float ``[T, C]`` at full scale 1, and its sample rate in Hz.

        Raises:
            Rejected: if it has no label, or channels that no rule fits.
        """
        label = self.label(name)
        sound, converted = self._channels(sound)
        if rate != self.sample_rate:
            converted.append(f"resampled from {rate} Hz")
            sound = resample(sound, rate, self.sample_rate)
        if self.samples is not None and len(sound) != self.samples:
            converted.append("cut at the end" if len(sound) > self.samples else "padded at the end")
            sound = sound[: self.samples]
        largest = float(np.abs(sound).max())
        if self.peak and largest > 0:
            sound = sound * (self.peak / largest)
        elif largest > 1:
            converted.append("clipped to [-1, 1]")
        stored = to_int16(sound)
        if not stored.any():
            converted.append("silence, kept")
        return Sample(pad(stored, self.samples or len(stored)), label, len(stored), tuple(converted))

    def _channels(self, sound: np.ndarray) -> tuple[np.ndarray, list[str]]:
        channels = sound.shape[1]
        if self.channel_rule == "mono" and channels > 1:
            return sound.mean(1, keepdims=True), [f"{channels} channels to mono"]
        if self.channel_rule == "stereo" and channels == 1:
            return np.repeat(sound, 2, axis=1), ["mono to stereo"]
        if self.channel_rule == "stereo" and channels > 2:
            raise Rejected("more than two channels", f"{channels}, which no rule makes stereo")
        return sound, []


def read_sound(content: bytes) -> tuple[np.ndarray, int]:
    """All of a recording, float32 ``[T, C]`` at full scale 1, and its sample rate in Hz.

    Raises:
        Rejected: if it is no recording, shorter than its header says, of zero length, or not finite.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            expected, rate = file.frames, file.samplerate
            sound = file.read(dtype="float32", always_2d=True)
            short = _short_ogg(content) if file.format == "OGG" else _short(file.extra_info)
    except soundfile.LibsndfileError as error:
        if error.code == UNRECOGNISED:
            raise Rejected("not a recording", "of no format that libsndfile knows") from None
        raise Rejected("truncated or damaged recording", error.error_string) from None
    if short or len(sound) != expected:
        raise Rejected("truncated recording", short or f"{len(sound)} of the {expected} samples in its header")
    if not len(sound):
        raise Rejected("zero length")
    if not np.isfinite(sound).all():
        raise Rejected("NaN or infinity")
    return sound, rate


def _short(log: str) -> str:
    """What libsndfile's log says of a file that ends before its header says, or nothing."""
    for said, found in SHORT_BYTES.findall(log):
        if int(found) < int(said) < STREAM:
            return f"{found} of the {said} bytes in its header"
    for found, said in SHORT_FRAMES.findall(log):
        if int(found) < int(said):
            return f"{found} of the {said} samples in its header"
    return ""


def _short_ogg(content: bytes) -> str:
    """The last page of an Ogg stream is marked as such; libsndfile does not miss it."""
    page = content[content.rfind(b"OggS") :]
    head = 27 + page[26] if len(page) > 26 else len(page) + 1
    whole = len(page) >= head + sum(page[27:head])
    return "" if whole and page[5] & 4 else "its last page is missing"


def resample(sound: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Float32 ``[T, C]`` at another rate, by windowed sinc interpolation."""
    import torch

    resampled: np.ndarray = _resampler(rate, target)(torch.from_numpy(sound.T.copy())).numpy()
    return resampled.T


@lru_cache(maxsize=8)  # the filter takes longer to compute than to apply
def _resampler(rate: int, target: int) -> Any:
    from torchaudio.transforms import Resample

    return Resample(rate, target)


def pad(stored: np.ndarray, samples: int) -> np.ndarray:
    """``[T, C]`` with zeros behind, up to ``samples``."""
    return np.pad(stored, ((0, samples - len(stored)), (0, 0)))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = argparse.ArgumentParser(
        "python -m data_prep.audio",
        description="Decode and resample the recordings of a folder or an archive into a packed data set. "
        "Files that are no whole recording are left out and listed in OUT/rejected.tsv.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_options(parser, label="none")
    parser.add_argument("--sample-rate", type=whole_number, required=True, metavar="HZ", help="to resample to")
    parser.add_argument(
        "--seconds",
        type=lambda text: number(text, 0, 3600),
        metavar="S",
        help="cut or pad every recording to this length, e.g. 1.024 for 8192 samples at 8 kHz (default: none is cut; "
        "the packed array is as wide as the longest, and lengths.npy says where each ends)",
    )
    parser.add_argument(
        "--channel-rule",
        choices=CHANNEL_RULES,
        default="mono",
        help="mono: the mean of all channels (default); stereo: mono is doubled; keep: as they are, all alike",
    )
    parser.add_argument(
        "--peak",
        type=lambda text: number(text, 0, 1),
        metavar="LEVEL",
        help="scale every recording to this largest value, e.g. 0.9 (default: leave the levels as they are)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Prepare recordings; returns the exit status."""
    options = parse(arguments)
    samples = max(1, round(options.seconds * options.sample_rate)) if options.seconds else None
    decoder = RecordingDecoder(options.sample_rate, samples, options.channel_rule, options.label, options.peak)
    settings = {
        "program": "data_prep.audio",
        "--sample-rate": options.sample_rate,
        "--seconds": samples / options.sample_rate if samples else None,
        "--channel-rule": options.channel_rule,
        "--peak": options.peak,
    }
    return run(lambda: prepare(options, decoder, Plan("audio", settings, sample_rate=options.sample_rate)))


if __name__ == "__main__":
    sys.exit(main())
