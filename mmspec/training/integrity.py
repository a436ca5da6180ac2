"""Whether a folder is as it was written: its marker, written last, holds a checksum of every file.

CRC-32 of zlib finds every burst of up to 32 wrong bits, and other damage but for one case in 2^32; it is read at the
speed of memory and needs no package. It protects from disks and copies, not from somebody who wants to deceive.
"""

import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypedDict

from mmspec.documents import parse_json, read_json
from mmspec.errors import InputError
from mmspec.files import replace_text

MARKER = "COMPLETE"
CHUNK = 1 << 20  # bytes
AVERAGED = "ema"  # the part of a checkpoint that is asked for by all but the training that wrote it
OF_BEFORE = (  # what every checkpoint held when markers were empty
    "state.json",
    "model.safetensors",
    "optimizer.safetensors",
    f"{AVERAGED}/config.json",
    f"{AVERAGED}/model.safetensors",
)


class FileFacts(TypedDict):
    """Of one file, as it was written."""

    bytes: int
    crc32: str


class Marker(TypedDict):
    """What a marker holds: facts of each file, by its path in the folder."""

    files: dict[str, FileFacts]


def mark(folder: Path) -> None:
    """Write the marker of a folder whose other files are all there.

    Raises:
        OSError: if a file cannot be read, or the marker not be written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    names = [path.relative_to(folder).as_posix() for path in paths]
    with ThreadPoolExecutor() as threads:
        files = dict(zip(names, threads.map(_facts, paths), strict=True))
    replace_text(folder / MARKER, json.dumps({"files": files}, indent=1) + "\n")


def is_complete(folder: Path) -> bool:
    """Whether a folder was written to its end, whatever came after."""
    return (folder / MARKER).is_file()


def damage(folder: Path, part: str = "") -> str | None:
    """What is wrong with a complete folder, such as "model.safetensors is missing"; None where nothing is.

    Folders of before markers held checksums have an empty one: of these the files must be there and open.

    Args:
        folder: that has a marker.
        part: the folder in it that is looked at; all, where empty.

    Raises:
        OSError: if a file that is there may not be read.
    """
    marker, within = folder / MARKER, f"{part}/" if part else ""
    if not marker.stat().st_size:
        names = [name for name in OF_BEFORE if name.startswith(within)]
        return next((f"{name} {wrong}" for name in names if (wrong := _wrong(_opened, folder / name))), None)
    try:
        facts = read_json(marker, Marker)["files"]
    except InputError:
        return f"{MARKER} is not what was written"
    chosen = {name: wanted for name, wanted in facts.items() if name.startswith(within)}
    with ThreadPoolExecutor() as threads:
        found = threads.map(partial(_wrong, _difference), (folder / name for name in chosen), chosen.values())
        return next((f"{name} {what}" for name, what in zip(chosen, found, strict=True) if what), None)


def _facts(file: Path) -> FileFacts:
    checksum, buffer = 0, bytearray(CHUNK)
    with file.open("rb", buffering=0) as content:
        while count := content.readinto(buffer):
            checksum = zlib.crc32(memoryview(buffer)[:count], checksum)
        return {"bytes": content.tell(), "crc32": f"{checksum:08x}"}


def _difference(file: Path, wanted: FileFacts) -> str | None:
    """Between a file and what was written."""
    if (size := file.stat().st_size) != wanted["bytes"]:
        return f"has {size} bytes in place of {wanted['bytes']}"
    return None if _facts(file) == wanted else "does not match its checksum"


def _opened(file: Path) -> None:
    """See that a file of no known checksum opens."""
    if file.suffix != ".safetensors":
        parse_json(file.read_bytes())
        return
    from safetensors import SafetensorError, safe_open  # which who samples exported models may not have

    try:
        with safe_open(file, "pt"):  # looks at names, shapes and the length of the file
            pass
    except SafetensorError as error:
        raise ValueError(error) from None


def _wrong(look: Callable[..., str | None], file: Path, *more: FileFacts) -> str | None:
    """What looking at a file shows, or why it cannot be looked at."""
    try:
        return look(file, *more)
    except PermissionError:
        raise
    except FileNotFoundError:
        return "is missing"
    except OSError as error:  # of a disk that fails, or a folder in its place
        return f"cannot be read ({error.strerror or error})"
    except ValueError as error:
        return f"cannot be read ({' '.join(str(error).split())})"
