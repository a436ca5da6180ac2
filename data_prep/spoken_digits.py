"""Spoken digits -> a packed data set that needs no download: espeak-ng says them in several voices.

The extra ``speech-demo`` brings espeak-ng as a library. Speeds and pitches of the held-out clips occur nowhere in
training.
"""

import argparse
import ctypes
import importlib
import itertools
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.audio import RecordingDecoder
from data_prep.labels import LabelRule
from data_prep.options import add_output_option, number, whole_number
from data_prep.packing import Plan, pack
from data_prep.preparation import run
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN, first_folder
from mmspec.errors import InputError

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = ("en-us", "en-gb-x-rp", "en-gb-scotland", "en-029")
SPEAKERS = ("m1", "m3", "f1", "f2")
SPEEDS_PITCHES = {  # words a minute; espeak's pitch, 0 to 99
    TRAIN: tuple(itertools.product((135, 155, 175), (35, 65))),
    TEST: ((145, 50),),
}
SEED = 0
PEAK = 0.9
QUIET = 0.01  # of full scale: what is less, before and after a word, is cut off
MARGIN = 0.02  # seconds that are left of it


class Espeak:
    """espeak-ng's C interface (``speak_lib.h``), as far as needed to get the samples of a word.

    Raises:
        InputError: if the extra is not installed, or the library does not start.
    """

    RATE, PITCH = 1, 3  # espeak_PARAMETER
    SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, before espeak_Synth returns
    UTF8 = 1
    CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def __init__(self) -> None:
        try:
            loader = importlib.import_module("espeakng_loader")
        except ImportError:
            raise InputError(
                "Speaking needs the package espeakng-loader: run `pip install mmspec[speech-demo]`."
            ) from None
        self._library = ctypes.CDLL(loader.get_library_path())
        self.sample_rate = self._library.espeak_Initialize(self.SYNCHRONOUS, 0, loader.get_data_path().encode(), 0)
        if self.sample_rate <= 0:
            raise InputError("espeak-ng does not start: reinstall it by `pip install mmspec[speech-demo]`.")
        self._chunks: list[np.ndarray] = []
        self._callback = self.CALLBACK(self._collect)  # kept, as the library calls it later
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: str, speed: int, pitch: int) -> np.ndarray:
        """int16 ``[T]`` at ``sample_rate``.

        Raises:
            InputError: if there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError(f"espeak-ng has no voice {voice}.")
        self._library.espeak_SetParameter(self.RATE, speed, 0)
        self._library.espeak_SetParameter(self.PITCH, pitch, 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))  # of hisses; the time otherwise
        self._chunks.clear()
        word = text.encode()
        self._library.espeak_Synth(word, ctypes.c_size_t(len(word) + 1), 0, 1, 0, self.UTF8, None, None)
        return np.concatenate(self._chunks)

    def _collect(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def clips(decoder: RecordingDecoder, sides: Sequence[str] = (TRAIN, TEST)) -> Iterator[tuple[str, Sample]]:
    """Every digit in every accent, speaker, speed and pitch of each side; the label is the digit."""
    espeak = Espeak()
    for side in sides:
        for accent, speaker, (speed, pitch) in itertools.product(ACCENTS, SPEAKERS, SPEEDS_PITCHES[side]):
            for digit, word in enumerate(WORDS):
                sound = espeak.say(word, f"{accent}+{speaker}", speed, pitch) / np.float32(32768)
                name = f"{side}/{digit}_{accent}_{speaker}_{speed}_{pitch}"
                yield name, decoder.sample(name, trimmed(sound, espeak.sample_rate)[:, None], espeak.sample_rate)


def trimmed(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """``[T]`` without the silence before and after."""
    loud = np.flatnonzero(np.abs(sound) > QUIET)
    margin = round(MARGIN * sample_rate)
    return sound[max(0, loud[0] - margin) : loud[-1] + margin] if len(loud) else sound


def main(arguments: list[str] | None = None) -> int:
    """Prepare spoken digits; returns the exit status."""
    parser = argparse.ArgumentParser(
        "mmspec prepare spoken_digits",
        description="Let espeak-ng speak the ten digits in several voices, into OUT/train and OUT/test.",
        epilog="example:\n  mmspec prepare spoken_digits data/spoken_digits --sample-rate 8000 --seconds 1.024",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_output_option(parser)
    parser.add_argument("--sample-rate", type=whole_number, default=8000, metavar="HZ", help="default: 8000")
    parser.add_argument(
        "--seconds", type=lambda text: number(text, 0, 60), default=1.024, metavar="S", help="default: 1.024"
    )
    options = parser.parse_args(arguments)
    samples = max(1, round(options.seconds * options.sample_rate))
    decoder = RecordingDecoder(options.sample_rate, samples, "mono", LabelRule("name:0"), PEAK)
    settings = {
        "program": "data_prep.spoken_digits",
        "--sample-rate": options.sample_rate,
        "--seconds": samples / options.sample_rate,
    }
    plan = Plan("audio", settings, source="espeak-ng", sample_rate=options.sample_rate)
    return run(lambda: pack(options.out, clips(decoder), first_folder, (TRAIN, TEST), plan))


if __name__ == "__main__":
    sys.exit(main())
