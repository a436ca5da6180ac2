"""What lies at a path where a checkpoint is expected, by the first bytes: the sentence for who gave another file."""

import zipfile
from pathlib import Path

from mmspec.errors import InputError
from mmspec.files import refuse_lfs_pointer
from mmspec.strangers import UNREADABLE

STARTS = {
    b"\x93NUMPY": "an array of NumPy",
    b"\x89HDF\r\n": "a file of HDF5",
    b"\x1f\x8b": "compressed by gzip",
    b"\xfd7zXZ": "compressed by xz",
    b"7z\xbc\xaf": "an archive of 7-Zip",
    b"GGUF": "a file of GGUF",
    b"<": "a page of HTML or XML, perhaps a server's answer in place of the file",
}
ENTRIES = {  # of zip archives; torch.save's own has no kind
    "constants.pkl": "a TorchScript archive, which holds a program",
    "data.pkl": None,
    ".npy": "an archive of NumPy's arrays",
}


def refuse_others(path: Path) -> None:
    """Raise InputError for what is plainly nothing that torch.save or pickle wrote: no file, a pointer of Git LFS, one
    of another kind, or one that cannot be read.
    """
    try:
        if not path.is_file():
            found = "is no file, but a folder" if path.is_dir() else "is no file"
            raise InputError(f"{path} {found}: give the path of a checkpoint.")
        refuse_lfs_pointer(path)
        kind = _kind(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): mend that, or copy it again.") from None
    if kind is not None:
        raise InputError(f"{path} is {kind}, no checkpoint of torch.save: give the path of one.")


def _kind(path: Path) -> str | None:
    """What is at a path, if that is plainly no checkpoint, whole or damaged."""
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        return "an empty file"
    if start[6:9] == b"\0\0{":  # after a length of 64 bits, JSON
        return "a file of safetensors, whose name must end with .safetensors"
    if zipfile.is_zipfile(path):
        return _archive(path)
    return next((kind for sign, kind in STARTS.items() if start.lstrip().startswith(sign)), None)


def _archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except UNREADABLE:
        return None  # of torch.save, perhaps, but damaged
    for end, kind in ENTRIES.items():
        if any(name.endswith(end) for name in names):
            return kind
    return "an archive of other files"
