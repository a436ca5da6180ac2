"""Plucked strings -> a packed data set that needs no download: seven notes, each string plucked in its own way.

An ideal string that is plucked at a point sounds in harmonics whose amplitudes are sin(pi h p) / h (p: where, of its
length), here with friction that damps high ones sooner. Anyone hears whether a note is one.
"""

import sys
from collections.abc import Iterator

import numpy as np

from data_prep.drawn import DrawnSet
from data_prep.options import number, whole_number
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN

NOTES = {"a3": 57, "b3": 59, "c4": 60, "d4": 62, "e4": 64, "f4": 65, "g4": 67}  # MIDI's numbers
PLUCKED_AT = (0.08, 0.35)  # of the string's length
DAMPING = (3.0, 6.0)  # of the fundamental, nepers a second
DETUNED = 0.1  # semitones, at most
PEAK = 0.9
SEEDS = {TRAIN: 0, TEST: 1}
SET = DrawnSet(
    name="plucked_strings",
    does="Pluck strings, seven notes from a3 to g4",
    example="--sample-rate 8000 --seconds 0.512",
    source="plucked strings",
    unit="notes",
    train=4200,
    test=490,
)


def notes(sample_rate: int, samples: int, counts: dict[str, int]) -> Iterator[tuple[str, Sample]]:
    """So many notes of "train" and of "test", equally many of each; the label is the note."""
    for part, count in counts.items():
        draw = np.random.default_rng(SEEDS[part])
        for index in range(count):
            label = list(NOTES)[index % len(NOTES)]
            sound = pluck(NOTES[label], sample_rate, samples, draw)
            yield f"{part}/{index:06d}_{label}", Sample(np.round(sound * 32767).astype(np.int16)[:, None], label)


def pluck(note: int, sample_rate: int, samples: int, draw: np.random.Generator) -> np.ndarray:
    """float64 ``[samples]`` in [-PEAK, PEAK]: a note by MIDI's number; where and how it is plucked is drawn."""
    fundamental = 440 * 2 ** ((note - 69 + draw.uniform(-DETUNED, DETUNED)) / 12)
    harmonics = np.arange(1, int(sample_rate / 2 / fundamental))[:, None]
    seconds = np.arange(samples) / sample_rate
    damping = draw.uniform(*DAMPING) * (1 + 0.15 * harmonics)
    amplitudes = np.sin(np.pi * harmonics * draw.uniform(*PLUCKED_AT)) / harmonics
    phases = draw.uniform(0, 2 * np.pi)
    waves = np.sin(2 * np.pi * harmonics * fundamental * seconds + harmonics * phases)
    sound: np.ndarray = (amplitudes * np.exp(-damping * seconds) * waves).sum(0)
    sound *= PEAK / np.abs(sound).max()
    return sound


def main(arguments: list[str] | None = None) -> int:
    """Prepare plucked strings; returns the exit status."""
    parser = SET.parser()
    parser.add_argument("--sample-rate", type=whole_number, default=8000, metavar="HZ", help="default: 8000")
    parser.add_argument(
        "--seconds", type=lambda text: number(text, 0, 60), default=0.512, metavar="S", help="default: 0.512"
    )
    options = parser.parse_args(arguments)
    rate = options.sample_rate
    samples = max(1, round(options.seconds * rate))
    own = {"--sample-rate": rate, "--seconds": samples / rate}
    return SET.prepare(options, lambda counts: notes(rate, samples, counts), own, sample_rate=rate)


if __name__ == "__main__":
    sys.exit(main())
