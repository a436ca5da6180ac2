"""NumPy's numbers in pickles, as plain numbers; arrays are left inert."""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from mmspec.pretrained.inert_pickle import Made, Refused, text

SCALARS = {  # NumPy's name of a type -> struct's
    "f8": "d",
    "f4": "f",
    "f2": "e",
    "b1": "?",
    "i8": "q",
    "i4": "i",
    "i2": "h",
    "i1": "b",
    "u8": "Q",
    "u4": "I",
    "u2": "H",
    "u1": "B",
}


def dtype(name: Any, *_: Any) -> Made:
    """A type of numbers, by its name."""
    return Made(text(name))


def scalar(kind: Made, data: bytes = b"") -> Any:
    """The number, or text, that the bytes of one are; of other types a `Made`.

    Raises:
        Refused: for what is no type.
    """
    if type(kind) is not Made:
        raise Refused("a NumPy scalar without its type")
    state = kind.get("state")
    order = ">" if isinstance(state, tuple) and len(state) > 1 and state[1] == ">" else "<"
    if kind.kind in SCALARS:
        return struct.unpack(f"{order}{SCALARS[kind.kind]}", data)[0]
    if kind.kind.startswith("U"):
        return data.decode("utf-32-be" if order == ">" else "utf-32-le").rstrip("\0")
    return Made("numpy.generic")


def decoded(written: Any = b"", encoding: Any = "latin1", *_: Any) -> bytes:
    """Bytes that a pickle of an earlier protocol wrote as text.

    Raises:
        Refused: for another encoding.
    """
    if text(encoding) not in ("latin1", "latin-1"):
        raise Refused(f"the encoding {encoding}")
    return written.encode("latin1") if isinstance(written, str) else bytes(memoryview(written))


NUMPY: Mapping[str, Callable[..., Any]] = {
    "numpy._core.multiarray.scalar": scalar,
    "numpy.core.multiarray.scalar": scalar,
    "numpy.dtype": dtype,
}
