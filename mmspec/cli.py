"""The command line: ``mmspec <verb> key=value ...``, hydra overrides everywhere."""

import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mmspec.errors import InputError, sentence
from mmspec.interruption import Interrupted, asked_to_stop

CONF = Path(__file__).parent / "conf"
VERBS = {
    "train": "train or fine-tune a denoiser on a packed data set",
    "sample": "draw samples from a run, a checkpoint or a saved denoiser",
    "calibrate": "find, on held-out signals, the gains that a denoiser lacks; sample with them",
    "evaluate": "compare samples with held-out real data",
    "compare": "say where two sets of pictures or recordings differ, by octave, and whether by chance",
    "diagnose": "say what is wrong with the spectra of a denoiser, its first stage and its samples",
    "table": "gather the metrics of many runs in one table, beside a paper's figures",
    "report": "write one HTML page of samples, spectra and metrics",
    "analyze": "draw what a denoiser does at each frequency and noise level",
    "verify": "run treatments of a run beside none and a placebo, and say whether they helped",
    "convert": "read other people's weights, write a folder that all commands read",
    "info": "show versions and devices, or what a network or denoiser is made of",
}
POSITIONAL = {  # keys that a verb's words without a key stand for, in turn
    "convert": ("format", "source", "out"),
    "compare": ("real", "generated"),
    "analyze": ("figure",),
}
MULTIRUN = ("-m", "--multirun")
PLUGINS = "plugins="
REFUSED = 2  # exit status where the input or the machine refuses
INTERRUPTED = (
    75  # ... after a signal to stop, in training and sampling: what is done is saved, the same command goes on
)
ENDED = 130  # ... after a signal to stop in anything else
USAGE = "\n".join(
    [
        "usage: mmspec <verb> [key=value ...]",
        "",
        *(f"  {verb:<9} {what}" for verb, what in VERBS.items()),
        "",
        "mmspec <verb> --help shows the verb's keys, their meaning and their defaults.",
        "mmspec <verb> -m key=a,b ... does it for each value, and for all combinations of several such keys.",
        "Paths and texts may be written as they are, whatever stands in them; ~/ is your home folder.",
        "plugins=[FILE.py] makes classes of your own known by their names, to every verb; so does MMSPEC_PLUGINS.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 2 refused, 75 interrupted but saved, 130 interrupted)."""
    verb, *overrides = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if verb in ("-h", "--help"):
        print(USAGE)
        return 0
    with asked_to_stop(_interrupt):
        return _finished(verb, overrides)


def _finished(verb: str, overrides: Sequence[str]) -> int:
    """Run one command to its end, whichever that is; returns the exit status."""
    try:
        if verb not in VERBS:
            raise InputError(f"{verb!r} is no verb of mmspec: expected one of {', '.join(VERBS)}.")
        if "-h" in overrides or "--help" in overrides:
            print(verb_help(verb, overrides))
            return 0
        return _run(verb, overrides)
    except Interrupted as stopped:
        _say(verb, str(stopped))
        return INTERRUPTED
    except KeyboardInterrupt:
        _say(verb, "interrupted: nothing half-written is left, the same command starts again.")
        return ENDED
    except Exception as error:
        if (said := sentence(error)) is None:
            raise
        _say(verb, said)
        return REFUSED


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(verb: str, said: str) -> None:
    rank = f" (rank {os.environ['RANK']})" if "RANK" in os.environ else ""
    print(f"mmspec {verb}{rank}: {said}", file=sys.stderr)


def _run(verb: str, words: Sequence[str]) -> int:
    from mmspec import plugins
    from mmspec.allocator import keep_freed_memory
    from mmspec.config import compose, sweep
    from mmspec.overrides import as_typed

    keep_freed_memory()
    plugins.load(plugin_files(words))
    command, multirun = importlib.import_module(f"mmspec.commands.{verb}"), bool(set(MULTIRUN) & set(words))
    words = with_keys(verb, [word for word in words if word not in MULTIRUN and not word.startswith(PLUGINS)])
    overrides = as_typed(words, command.OPTIONS, multirun)
    cfgs = sweep(verb, overrides) if multirun else [compose(verb, overrides)]
    for cfg in cfgs:
        command.run(cfg)
    return 0


def plugin_files(words: Sequence[str]) -> list[str]:
    """What ``plugins=[a.py,b.py]`` or ``plugins=a.py`` names."""
    from mmspec.overrides import items

    return [name for word in words if word.startswith(PLUGINS) for name in items(word.removeprefix(PLUGINS))]


def with_keys(verb: str, words: Sequence[str]) -> list[str]:
    """The overrides that words stand for: ``convert edm FILE OUT`` is ``format=edm source=FILE out=OUT``.

    Raises:
        InputError: for more words without a key than the verb has places for.
    """
    if verb not in POSITIONAL:
        return list(words)
    places, overrides = iter(POSITIONAL[verb]), []
    for word in words:
        if not re.match(r"~\w|[\w.+]+=", word):
            key = next(places, None)
            if key is None:
                raise InputError(f"{word!r} is one word too many: mmspec {verb} {' '.join(POSITIONAL[verb]).upper()}.")
            word = f"{key}={word}"
        overrides.append(word)
    return overrides


def verb_help(verb: str, words: Sequence[str] = ()) -> str:
    """The commented defaults of a verb, or of the choices that words without a key name, and its groups."""
    chosen = [CONF / key / f"{word}.yaml" for key, word in zip(POSITIONAL.get(verb, ()), words, strict=False)]
    files = [file for file in chosen if file.is_file()] or [CONF / f"{verb}.yaml"]
    text = "\n".join(file.read_text() for file in files)
    groups = []
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        if f"- {folder.name}:" in text:
            names = sorted(file.stem for file in folder.glob("*.yaml"))
            groups.append(f"{folder.name}={'|'.join(names)}")
    choices = ["", "# Groups:", *(f"#   {group}" for group in groups)] if groups else []
    return "\n".join([f"mmspec {verb}: {VERBS[verb]}", "", text.rstrip(), *choices])


if __name__ == "__main__":
    sys.exit(main())
