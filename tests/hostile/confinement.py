"""Read a stranger's file with no more memory and time than it may take, and see that nothing else happens meanwhile.

All in this process, as a process for each of hundreds of files would take minutes.
"""

import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from data_prep.samples import Rejected
from mmspec.errors import InputError

SECONDS, BYTES = 10, 1 << 30  # beside the size of the file
WAITED = 60  # seconds by the clock, for what waits and does not work
GIVEN_UP = 120  # no signal ends C code, so the process ends
OUT_OF_MEMORY = ("MemoryError", "allocate", "out of memory")
MAKING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EFFECTS = (  # of Python's audit events, by how they begin
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill", "os.putenv", "subprocess.", "pty."),
    *("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "ctypes.dlopen", "pickle.find_class"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate"),
    *("os.utime", "shutil.", "tempfile."),
)

_seen: list[str] | None = None


class TooSlow(BaseException):
    """A reader that has had its seconds; no ``except Exception`` of its stops this."""


def sentence_of(read: Callable[[Path], object], path: Path, writes: bool = False) -> str:
    """What a reader says of a file: its one sentence, or "read".

    Args:
        read: the reader.
        path: of the file, or folder.
        writes: whether the reader puts something beside the file by its nature.

    Raises:
        AssertionError: for a side effect, memory or time beyond what is allowed, or more than a sentence.
        Exception: whatever else the reader raises.
    """
    effects: list[str] = []
    with _no_more_memory(BYTES + _size(path)), _no_more_time(), _noted(effects):
        try:
            read(path)
            said = "read"
        except (InputError, Rejected) as refused:
            said = str(refused)
    assert writes or not effects, effects
    assert "\n" not in said and len(said) < 3000, said
    assert not any(word in said for word in OUT_OF_MEMORY), said
    return said


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


@contextmanager
def _no_more_memory(size: int) -> Iterator[None]:
    """Address space for ``size`` bytes beyond what the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _no_more_time() -> Iterator[None]:
    def end(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"{SECONDS} seconds of work, or {WAITED} of waiting, are over")

    before = {number: signal.signal(number, end) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor, which others may be using, too
    signal.setitimer(signal.ITIMER_REAL, WAITED)
    faulthandler.dump_traceback_later(GIVEN_UP, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _noted(effects: list[str]) -> Iterator[None]:
    """Write down what reaches beyond this process; an audit hook cannot be removed, so it is one that may sleep."""
    global _seen
    _seen = effects
    try:
        yield
    finally:
        _seen = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is None:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & MAKING
    if writes or event.startswith(EFFECTS):
        _seen.append(f"{event} {arguments}"[:200])


sys.addaudithook(_note)
