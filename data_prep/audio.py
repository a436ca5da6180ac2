"""Recordings of a folder or an archive -> a packed data set."""

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np

from data_prep.conditioning import Conditioning
from data_prep.labels import LabelRule
from data_prep.options import add_source_options, number, whole_number
from data_prep.packing import Plan
from data_prep.preparation import prepare, run
from data_prep.recordings import opened
from data_prep.resampling import Resampler
from data_prep.samples import Rejected, Sample
from mmspec.data.values import to_int16

CHANNEL_RULES = ("mono", "stereo", "keep")
HIGHEST = 4.0  # of full scale: what is above, by more than 12 dB, was stored at another scale
EPILOG = """examples:
  mmspec prepare audio free-spoken-digit-dataset.tar.gz data/fsdd --sample-rate 8000 --seconds 1.024 \\
      --label name:0 --holdout-pattern '*_[0-4].wav'
  mmspec prepare audio LJSpeech-1.1/ data/lj --sample-rate 22050 --holdout-pattern 'LJ00[12]*'
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
        keep_truncated: whether what there is of a recording that ends before it says is used.
        conditioning: what is done to a recording once it has its rate and channels, before it is cut or padded.
    """

    sample_rate: int
    samples: int | None
    channel_rule: str
    label: LabelRule
    peak: float | None = None
    keep_truncated: bool = False
    conditioning: Conditioning = field(default_factory=Conditioning)

    def __call__(self, name: str, content: bytes) -> Sample:
        """Decode one file.

        Raises:
            Rejected: if it is no recording, or not a whole one, is empty or not finite, or has no label.
        """
        recording = opened(content, self.keep_truncated)
        return self._sample(name, recording.blocks, recording.rate, recording.channels, recording.converted)

    def sample(self, name: str, sound: np.ndarray, rate: int) -> Sample:
        """From all of a recording, float ``[T, C]`` at full scale 1, and its sample rate in Hz.

        Raises:
            Rejected: if it has no label, or channels that no rule fits.
        """
        return self._sample(name, iter([sound]), rate, sound.shape[1], [])

    def _sample(
        self, name: str, blocks: Iterator[np.ndarray], rate: int, channels: int, converted: list[str]
    ) -> Sample:
        changed = self._channels(channels)
        if rate != self.sample_rate:
            changed.append(f"resampled from {rate} Hz")
        mixed = map(self._mixed, blocks)
        sound = mixed if rate == self.sample_rate else Resampler(rate, self.sample_rate)(mixed)
        if self.conditioning:
            whole, done = self.conditioning(np.concatenate(list(sound)), self.sample_rate)
            sound, changed = iter([whole]), [*changed, *done]
        kept, longer = self._cut(sound)
        for _ in blocks:  # whether all of it is there
            longer = True
        length = sum(map(len, kept))
        if self.samples is not None and (longer or length != self.samples):
            changed.append("cut at the end" if longer else "padded at the end")
        stored = self._stored(kept, length, changed)
        label = self.label(name)
        return Sample(pad(stored, self.samples or length), label, length, (*converted, *changed))

    def _cut(self, blocks: Iterator[np.ndarray]) -> tuple[deque[np.ndarray], bool]:
        """The blocks as far as they are kept, and whether there is more."""
        kept: deque[np.ndarray] = deque()
        room = self.samples
        for block in blocks:
            kept.append(block if room is None else block[:room])
            if room is None:
                continue
            if len(block) > room:
                return kept, True
            room -= len(block)
        return kept, False

    def _stored(self, blocks: deque[np.ndarray], length: int, converted: list[str]) -> np.ndarray:
        """The blocks, which are let go one by one, as int16 ``[T, C]``."""
        largest = max(float(np.abs(block).max(initial=0)) for block in blocks)
        scale = self.peak / largest if self.peak and largest > 0 else 1.0
        if largest > HIGHEST and scale == 1:
            raise Rejected(
                "far above full scale",
                f"its largest value is {largest:g}: give --peak if it was stored at another scale",
            )
        if largest > 1 and scale == 1:
            converted.append("clipped to [-1, 1]")
        stored = np.empty((length, blocks[0].shape[1]), np.int16)
        end = 0
        while blocks:
            block = blocks.popleft()
            stored[end : end + len(block)] = to_int16(block if scale == 1 else block * scale)
            end += len(block)
        if not stored.any():
            converted.append("silence, kept")
        return stored

    def _channels(self, channels: int) -> list[str]:
        """What is done to a recording of so many channels."""
        if self.channel_rule == "mono" and channels > 1:
            return [f"{channels} channels to mono"]
        if self.channel_rule == "stereo" and channels > 2:
            raise Rejected("more than two channels", f"{channels}, which no rule makes stereo")
        return ["mono to stereo"] if self.channel_rule == "stereo" and channels == 1 else []

    def _mixed(self, block: np.ndarray) -> np.ndarray:
        if self.channel_rule == "mono" and block.shape[1] > 1:
            mono: np.ndarray = block.mean(1, keepdims=True)
            return mono
        return np.repeat(block, 2, axis=1) if self.channel_rule == "stereo" and block.shape[1] == 1 else block


def read_sound(content: bytes) -> tuple[np.ndarray, int]:
    """All of a recording, float32 ``[T, C]`` at full scale 1, and its sample rate in Hz.

    Raises:
        Rejected: if it is no recording, shorter than its header says, of zero length, or not finite.
    """
    recording = opened(content)
    return np.concatenate(list(recording.blocks)), recording.rate


def pad(stored: np.ndarray, samples: int) -> np.ndarray:
    """``[T, C]`` with zeros behind, up to ``samples``."""
    return np.pad(stored, ((0, samples - len(stored)), (0, 0)))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The program's options."""
    parser = argparse.ArgumentParser(
        "mmspec prepare audio",
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
    levels = parser.add_mutually_exclusive_group()
    levels.add_argument(
        "--peak",
        type=lambda text: number(text, 0, 1),
        metavar="LEVEL",
        help="scale every recording to this largest value, e.g. 0.9 (default: leave the levels as they are)",
    )
    levels.add_argument(
        "--loudness",
        type=lambda text: number(text, -70, 0),
        metavar="LUFS",
        help="scale every recording to this loudness by ITU-R BS.1770, e.g. -23; peaks that are then too high are cut",
    )
    parser.add_argument("--remove-dc", action="store_true", help="subtract the mean of every recording")
    parser.add_argument(
        "--trim",
        type=lambda text: number(text, 0, 200),
        metavar="DB",
        help="cut off what is at either end quieter by this than a recording's largest value, e.g. 60",
    )
    parser.add_argument("--drop-silence", action="store_true", help="leave out what never exceeds -60 dB of full scale")
    for option, word in (("--shortest", "shorter"), ("--longest", "longer")):
        parser.add_argument(
            option, type=lambda text: number(text, 0, 1e6), metavar="S", help=f"leave out what is {word}, once trimmed"
        )
    parser.add_argument(
        "--keep-truncated",
        action="store_true",
        help="keep what there is of recordings that end before they say (default: they are left out)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Prepare recordings; returns the exit status."""
    options = parse(arguments)
    samples = max(1, round(options.seconds * options.sample_rate)) if options.seconds else None
    chosen = {field.name: getattr(options, field.name) for field in fields(Conditioning)}
    decoder = RecordingDecoder(
        options.sample_rate,
        samples,
        options.channel_rule,
        options.label,
        options.peak,
        options.keep_truncated,
        Conditioning(**chosen),
    )
    settings = {
        "program": "data_prep.audio",
        "--sample-rate": options.sample_rate,
        "--seconds": samples / options.sample_rate if samples else None,
        "--channel-rule": options.channel_rule,
        "--peak": options.peak,
        "--keep-truncated": options.keep_truncated or None,
        **{f"--{name.replace('_', '-')}": value or None for name, value in chosen.items()},
    }
    plan = Plan("audio", settings, sample_rate=options.sample_rate)
    return run(lambda: prepare(options, decoder, plan), goes_on=options.shards is not None)


if __name__ == "__main__":
    sys.exit(main())
