"""The command line: ``mmspec <verb> key=value ...``, hydra overrides everywhere."""

import importlib
import os
import re
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mmspec import __version__
from mmspec.errors import TRACEBACK, InputError, sentence
from mmspec.interruption import Interrupted, asked_to_stop, hear_no_more
from mmspec.programs import PROGRAMS, find_programs, run_program
from mmspec.typed import nearest

CONF = Path(__file__).parent / "conf"
VERBS = {
    "train": "train or fine-tune a denoiser on a packed data set",
    "sample": "draw samples from a run, a checkpoint, a saved or an exported denoiser",
    "calibrate": "find, on held-out signals, the gains that a denoiser lacks; sample with them",
    "evaluate": "compare samples with held-out real data",
    "compare": "say where two sets of pictures or recordings differ, by octave, and whether by chance",
    "diagnose": "say what is wrong with the spectra of a denoiser, its first stage and its samples",
    "table": "gather the metrics of many runs in one table, beside a paper's figures",
    "report": "write one HTML page of samples, spectra and metrics",
    "gallery": "page through runs side by side in a browser, also while they train",
    "analyze": "draw what a denoiser does at each frequency and noise level",
    "verify": "run treatments of a run beside none and a placebo, and say whether they helped",
    "prescribe": "diagnose a run, prescribe treatments or none, and verify them: all in one",
    "convert": "read other people's weights, write a folder that all commands read",
    "export": "write a denoiser as ONNX or torch.export, to be run without mmspec or without torch",
    "info": "show versions and devices, or what a network or denoiser is made of",
}
POSITIONAL = {  # keys that a verb's words without a key stand for, in turn
    "convert": ("format", "source", "out"),
    "compare": ("real", "generated"),
    "analyze": ("figure",),
}
LOOKED_AT = {
    "evaluate": "samples",
    "train": "data.train",
    "report": "runs",
    "table": "runs",
}  # key of a folder; or "from"
ALL_POSITIONAL = {"gallery": "runs"}  # the key of a list that all of them stand for
HELP = ("-h", "--help")
SIDE_BY_SIDE = re.compile(r"(network|from)=([^\[{(]+,[^\[{(]+)")  # several of info, which needs no -m
MULTIRUN = ("-m", "--multirun")
PLUGINS = re.compile(r"\+{0,2}plugins=(.*)", re.DOTALL)
REFUSED = 2  # exit status where the input or the machine refuses
INTERRUPTED = 75  # ... after a signal to stop, where what is done is saved and the same command goes on
ENDED = 130  # ... after a signal to stop in anything else
UNREAD = 141  # ... where who reads what is printed, as head, has gone: 128 and the number of SIGPIPE
USAGE = "\n".join(
    [
        "usage: mmspec <verb> [key=value ...]",
        "",
        *(f"  {verb:<9} {what}" for verb, what in {**PROGRAMS, **VERBS}.items()),
        "",
        "mmspec <verb> --help shows the verb's keys, their meaning and their defaults; --help GROUP those of a group.",
        "mmspec <verb> -m key=a,b ... does it for each value, and for all combinations of several such keys.",
        "Paths and texts may be written as they are, whatever stands in them; ~/ is your home folder.",
        "Of a key that is given twice, the last counts.",
        "plugins=[FILE.py] makes classes of your own known by their names, to every verb; so does MMSPEC_PLUGINS.",
    ]
)


def program() -> int:
    """What a process of its own runs: `main`, whose status is then the process's, whatever signals come at its end."""
    status = main()
    hear_no_more()
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0 done, 2 refused, 75 interrupted but saved, 130 interrupted, 141 nobody reads what it prints.
    """
    find_programs()
    verb, *words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    with _interruptible() as signals:
        try:
            status = _answer(verb, words)
            print(end="", flush=True)
            return status
        except BaseException as error:
            return _ended(verb, error, interrupted=bool(signals) or isinstance(error, KeyboardInterrupt))


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """The signals that came; each raises KeyboardInterrupt, of which an import may make any other error."""
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    with asked_to_stop(interrupt):
        yield came


def _ended(verb: str, error: BaseException, interrupted: bool) -> int:
    """The status after an exception, which is raised again where it is a fault of the code."""
    if isinstance(error, Interrupted):
        _say(verb, str(error))
        return INTERRUPTED
    if interrupted:
        _say(verb, "interrupted: nothing half-written is left, the same command starts again.")
        return ENDED
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return UNREAD
    if (said := sentence(error)) is None or os.environ.get(TRACEBACK):
        raise error
    _say(verb, said)
    return REFUSED


def _answer(verb: str, words: Sequence[str]) -> int:
    if verb in (*HELP, "--version"):
        print(USAGE if verb in HELP else f"mmspec {__version__}")
        return 0
    if verb in PROGRAMS:
        return run_program(verb, words)
    if verb not in VERBS:
        verbs = [*PROGRAMS, *VERBS]
        raise InputError(f"{verb!r} is no verb of mmspec: {nearest(verb, verbs)}{', '.join(verbs)}.")
    if set(HELP) & set(words):
        print(_help(verb, [word for word in words if word not in HELP]))
        return 0
    return _run(verb, words)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe without a reader; what is still to be printed then goes nowhere."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _say(verb: str, said: str) -> None:
    rank = f" (rank {os.environ['RANK']})" if "RANK" in os.environ else ""
    with suppress(OSError):  # where nobody reads it, the status says so
        print(f"mmspec {verb}{rank}: {said}", file=sys.stderr, flush=True)


def _help(verb: str, words: Sequence[str]) -> str:
    from mmspec.help import verb_help

    chosen = [CONF / key / f"{word}.yaml" for key, word in zip(POSITIONAL.get(verb, ()), words, strict=False)]
    if chosen and chosen[0].is_file():
        return verb_help(verb, VERBS[verb], words[1:], chosen[0])
    return verb_help(verb, VERBS[verb], words)


def _run(verb: str, words: Sequence[str]) -> int:
    from mmspec import plugins
    from mmspec.allocator import keep_freed_memory
    from mmspec.config import compose, sweep
    from mmspec.keys import refuse_dashes, refuse_unknown_keys
    from mmspec.overrides import as_typed, refuse_malformed
    from mmspec.places import refuse_absent

    keep_freed_memory()
    side_by_side = verb == "info" and any(_are_several(word) for word in words)
    multirun = side_by_side or bool(set(MULTIRUN) & set(words))
    files = plugin_files(words, multirun)
    words = [word for word in words if word not in MULTIRUN and not PLUGINS.fullmatch(word)]
    refuse_dashes(verb, words)
    words = with_keys(verb, words)
    _refuse_bare_paths(verb, words)
    refuse_malformed(words)
    refuse_unknown_keys(verb, words)
    plugins.load(files)
    refuse_absent(words, multirun)
    command = importlib.import_module(f"mmspec.commands.{verb}")
    overrides = as_typed(words, command.OPTIONS, multirun)
    cfgs = sweep(verb, overrides) if multirun else [compose(verb, overrides)]
    if side_by_side:
        command.run_all(cfgs)
    else:
        for cfg in cfgs:
            command.run(cfg)
    return 0


def _refuse_bare_paths(verb: str, words: Sequence[str]) -> None:
    for word in [word for word in words if word and "=" not in word and Path(word).exists()]:
        key = LOOKED_AT.get(verb, "from")
        given = any(each.startswith(f"{key}=") for each in words)
        raise InputError(f"{word!r} is no key with a value: write {'out' if given else key}={word}, for one.")


def _are_several(word: str) -> bool:
    match = SIDE_BY_SIDE.fullmatch(word)
    return match is not None and not Path(match[2]).exists()


def plugin_files(words: Sequence[str], multirun: bool = False) -> list[str]:
    """What ``plugins=[a.py,b.py]`` or ``plugins=a.py`` names.

    Raises:
        InputError: if it names nothing, or reads as if runs of a multirun had plug-ins of their own.
    """
    from mmspec.overrides import items

    given = [match[1] for word in words if (match := PLUGINS.fullmatch(word))]
    for value in given:
        if not value:
            raise InputError("plugins= names no file: give plugins=[FILE.py], or leave it out.")
        if multirun and not value.startswith("[") and len(items(value)) > 1:
            raise InputError(f"plugins={value}: all runs share their plug-ins, so give a list, plugins=[{value}].")
    return [name for value in given for name in items(value)]


def with_keys(verb: str, words: Sequence[str]) -> list[str]:
    """The overrides that words stand for: ``convert edm FILE OUT`` is ``format=edm source=FILE out=OUT``.

    Raises:
        InputError: for more words without a key than the verb has places for.
    """
    if verb in ALL_POSITIONAL:
        return _gathered(ALL_POSITIONAL[verb], words)
    if verb not in POSITIONAL:
        return list(words)
    keyed = [word for word in words if re.match(r"~\w|[\w.+]+=", word)]
    given = {word.partition("=")[0] for word in keyed}
    places, overrides = (key for key in POSITIONAL[verb] if key not in given), []
    for word in words:
        if word not in keyed:
            key = next(places, None)
            if key is None:
                raise InputError(f"{word!r} is one word too many: mmspec {verb} {' '.join(POSITIONAL[verb]).upper()}.")
            word = f"{key}={word}"
        overrides.append(word)
    return overrides


def _gathered(key: str, words: Sequence[str]) -> list[str]:
    """Words without a key as one list: ``gallery A B`` is ``gallery runs=['A','B']``."""
    values = [word for word in words if not re.match(r"~\w|[\w.+]+=", word)]
    quoted = ["'" + re.sub(r"(['\\])", r"\\\1", value) + "'" for value in map(os.path.expanduser, values)]
    return [*(word for word in words if word not in values), *([f"{key}=[{','.join(quoted)}]"] if values else [])]


if __name__ == "__main__":
    sys.exit(program())
