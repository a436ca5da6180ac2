"""Sets of signals as people have them: packed, or pictures in a folder, an archive or guided-diffusion's ``.npz``."""

import math
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from mmspec.data import DatasetMeta, PackedDataset
from mmspec.data.packed import DataFile, complete
from mmspec.errors import InputError
from mmspec.files import staged

ARRAY = "arr_0"
NO_PICTURES = ("not a picture", "not a file")  # reasons of what may lie beside pictures
ROWS = 1 << 24  # bytes of an array that are copied at a time


@contextmanager
def signals_at(path: Path, channels: int = 3) -> Iterator[PackedDataset]:
    """A packed data set, or what pictures make as long as the block lasts, in the folder for temporary files.

    Args:
        path: a packed folder; pictures of one size in a folder or an archive, decoded as ``data_prep.images`` does; or
            an ``.npz`` whose ``arr_0`` is uint8 ``[N, H, W, C]``.
        channels: of pictures that are decoded, 1 or 3.

    Raises:
        InputError: if it is none of these, a picture is damaged, or their sizes differ.
    """
    if (path / "meta.json").exists() or not path.exists():
        yield PackedDataset(path)
        return
    with tempfile.TemporaryDirectory(prefix="mmspec-") as scratch:
        folder = Path(scratch) / (path.resolve().name or "pictures")  # which errors call it by
        if path.is_file() and _is_npz(path):
            _pack_array(path, folder)
        else:
            _pack_pictures(path, folder, channels)
        yield PackedDataset(folder)


def _is_npz(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return path.suffix == ".npz"
    with zipfile.ZipFile(path) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())


def _pack_array(path: Path, folder: Path) -> None:
    """A piece at a time: 50,000 pictures of 256 pixels are 10 GB."""
    wanted = f"expected {ARRAY}, uint8 [N, H, W, C] with C = 1 or 3"
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{ARRAY}.npy" not in archive.namelist():
                raise InputError(f"{path} holds {', '.join(archive.namelist()) or 'nothing'}: {wanted}.")
            with archive.open(f"{ARRAY}.npy") as file:
                shape, fortran, dtype = _header(file)
                if len(shape) != 4 or dtype != np.uint8 or fortran or shape[-1] not in (1, 3) or 0 in shape:
                    raise InputError(f"{path} holds {ARRAY} as {dtype} {list(shape)}: {wanted}.")
                _copy(file, shape, folder, path)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({error}): make or fetch it again.") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _copy(file: IO[bytes], shape: tuple[int, ...], folder: Path, source: Path) -> None:
    count, height, width, channels = shape
    meta = DatasetMeta(modality="image", source=source.name, count=count, shape=(channels, height, width))
    size = math.prod(shape[1:])
    step = max(1, ROWS // size)
    with staged(folder) as beside:
        with DataFile(beside, meta, new=True) as data:
            for start in range(0, count, step):
                rows = min(step, count - start)
                content = file.read(rows * size)
                if len(content) < rows * size:
                    raise EOFError(f"{ARRAY} ends before its {count} pictures do")
                data.write(start, np.frombuffer(content, np.uint8))
        complete(beside, meta=meta)


def _pack_pictures(path: Path, folder: Path, channels: int) -> None:
    from data_prep.decoding import decode_members, default_workers
    from data_prep.images import PictureDecoder
    from data_prep.labels import LabelRule
    from data_prep.packing import Plan, pack
    from data_prep.sources import open_source

    source = open_source(path)
    decoder = PictureDecoder(None, channels, LabelRule("none"), "lanczos", "white")
    decoded = decode_members(source.members(), decoder, default_workers(source.size))
    found = ((member.name, outcome) for member, outcome in decoded if member.name != "evaluation.json")
    pack(folder, found, lambda name: ".", ["."], Plan("image", {}, str(path)))  # type: ignore[arg-type]
    for line in (folder / "rejected.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, why = line.split("\t")
        if not why.startswith(NO_PICTURES):
            raise InputError(f"{path} holds {name}, which cannot be compared: {why}; mend it, or take it out.")


def remarks(dataset: PackedDataset, path: Path) -> list[str]:
    """What was done to pictures as they were decoded, in sentences; nothing of a packed set."""
    if dataset.folder == path.absolute():
        return []
    left, converted = sum(dataset.meta.rejected.values()), dataset.meta.converted
    return [
        *([f"{path}: {left} files are no pictures, and were left out."] if left else []),
        *(f"{path}: {count} pictures were converted, {what}." for what, count in converted.items()),
    ]
