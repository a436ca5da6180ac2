"""What a command line says is on the disk, looked for before the seconds in which its command is imported."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmspec.data.meta import MAKE
from mmspec.errors import InputError
from mmspec.files import is_missing
from mmspec.overrides import SWEEP, WORD, items, unquoted
from mmspec.training.run import DENOISER

RUNS = "expected a run, or a folder of runs, that `mmspec train` wrote"
SAMPLES = "expected a run that `mmspec sample` drew from, or a folder or archive of samples"
GIVEN = "give the path of one that is"
MENDS = {
    "from": DENOISER,
    "init_from": DENOISER,
    "teacher": DENOISER,
    "distillation.teacher": DENOISER,
    "data": MAKE,
    "data.train": MAKE,
    "data.test": MAKE,
    "data.latents": MAKE,
    "train": MAKE,
    "samples": SAMPLES,
    "reference": MAKE,
    "real": MAKE,
    "generated": MAKE,
    "recordings": MAKE,
    "captions": MAKE,
    "runs": RUNS,
    "table": GIVEN,
    "layout": GIVEN,
    "source": GIVEN,
    "correction": GIVEN,
    "text_encoder": GIVEN,
    "first_stage.from": GIVEN,
    "extractors.inception": GIVEN,
    "extractors.fad": GIVEN,
    "extractors.utmos": GIVEN,
}


def refuse_absent(words: Sequence[str], multirun: bool = False) -> None:
    """Raise InputError for a source that is not there.

    Args:
        words: ``key=value`` of the command line, as they are typed.
        multirun: commas part several values.
    """
    for match in filter(None, map(WORD.fullmatch, words)):
        _, key, value = match.groups()
        if key not in MENDS or value in ("", "null") or value.isdecimal() or SWEEP.fullmatch(value):
            continue  # samples of diagnose is a number
        several = (multirun or value.startswith("[")) and not Path(value).exists()
        for place in items(value) if several else [os.path.expanduser(unquoted(value))]:
            if is_missing(place) if MENDS[key] == DENOISER else not Path(place).exists():
                raise InputError(f"{key}={place} is not there: {MENDS[key]}.")
