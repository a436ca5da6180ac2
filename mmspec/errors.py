"""The one exception for what a user can mend, and what is said of others that are no fault of the code."""

import dis
import errno
import re
from types import TracebackType

TRACEBACK = "MMSPEC_TRACEBACK"  # variable of the environment that shows where a plug-in failed
OURS = ("mmspec", "data_prep")
COMMANDING = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # controls, and changes of direction
MENDS = {
    errno.ENOENT: "give a place that is there",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "give a place that can be written to",
    errno.EACCES: "give a place that you may read and write",
    errno.EPERM: "give a place that you may read and write",
    errno.ENOTDIR: "a file stands where a folder is needed, so give another name",
    errno.EEXIST: "a file stands where a folder is needed, so give another name",
    errno.EISDIR: "give the name of a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EBUSY: "give a folder that nothing is mounted on",
    errno.EXDEV: "give a folder that nothing is mounted on",
}


class InputError(ValueError):
    """A file, key or value that mmspec was given cannot be used.

    Its message is one sentence that names the thing, says what was expected and how to mend it. The commands
    print it without a traceback and exit with status 2. What it quotes may be of a stranger: letters that command a
    terminal, or turn the line around, are written as escapes.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


def printable(text: str) -> str:
    """A text in one line, with escapes in place of what a terminal obeys."""
    return COMMANDING.sub(lambda found: ascii(found[0])[1:-1], text)


def fault_of_plugin(error: BaseException) -> str | None:
    """Where and by what a plug-in failed; None where no line of one was being run."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        if "__plugin__" in traceback.tb_frame.f_globals:
            found = traceback
        traceback = traceback.tb_next
    if found is None:
        return None
    code = found.tb_frame.f_code
    return (
        f"{code.co_qualname} of the plug-in {code.co_filename}, line {found.tb_lineno}, failed ({name_of(error)}): "
        f"mend it; {TRACEBACK}=1 in the environment shows the traceback."
    )


def name_of(error: BaseException) -> str:
    """Its class and what it says, in one line."""
    return ": ".join([type(error).__name__, *filter(None, [" ".join(str(error).split())])])


def sentence(error: BaseException) -> str | None:
    """What a user is told of an exception that the input, the machine or a plug-in caused; None for a fault of ours.

    A ValueError counts where a ``raise`` of ours stands at its origin: the library refuses what it cannot work on.
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        said = f"{error.filename or 'the disk'}: {error.strerror}" if error.strerror else str(error)
        return f"{said}: {MENDS.get(error.errno or 0, 'mend that')}, and run the same command again."
    text = " ".join(str(error).split())
    if type(error).__name__ == "SafetensorError":
        return f"weights cannot be read or written ({text}): make room, or copy them again."
    if type(error).__name__ in ("MemoryError", "OutOfMemoryError") or "can't allocate memory" in text:
        return f"there is too little memory ({text[:200] or 'none is left'}): lower the batch size."
    if isinstance(error, ValueError) and _raised_by_us(error.__traceback__):
        return text
    return fault_of_plugin(error) or _missing_package(error)


def _missing_package(error: BaseException) -> str | None:
    """What to do about a package of others' that is not installed, as where only what is exported is run."""
    package = (getattr(error, "name", None) or OURS[0]).split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package in OURS:
        return None
    return f"this needs {package}, which is not installed: pip install it, or mmspec with all that it depends on."


def _raised_by_us(traceback: TracebackType | None) -> bool:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    frame, at = traceback.tb_frame, traceback.tb_lasti
    module = str(frame.f_globals.get("__name__", "")).split(".")[0]
    return module in OURS and dis.opname[frame.f_code.co_code[at]] == "RAISE_VARARGS"
