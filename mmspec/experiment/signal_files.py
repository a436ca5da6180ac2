"""Sets of signals as people have them: packed, in a folder or an archive, or as guided-diffusion's ``.npz``."""

import errno
import math
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from mmspec.data import DatasetMeta, StoredDataset, open_dataset
from mmspec.data.array_file import HEADER_BYTES, array_header
from mmspec.data.packed import DataFile, complete
from mmspec.errors import InputError
from mmspec.files import staged
from mmspec.strangers import UNREADABLE, Allowance, TooMuch, clipped, most_unpacked

if TYPE_CHECKING:
    from data_prep.decoding import Decoder

ARRAY = "arr_0"
FOREIGN = ("not a picture", "not a recording", "not a file")  # reasons of what may lie beside signals
ROWS = 1 << 24  # bytes of an array that are copied at a time


@contextmanager
def signals_at(
    path: Path, channels: int = 3, *, sound: bool = False, size: int | None = None, rate: int | None = None
) -> Iterator[StoredDataset]:
    """A packed data set, or what files make as long as the block lasts, in the folder for temporary files.

    Args:
        path: a packed folder; pictures of one size, or recordings of one rate, in a folder or an archive, decoded as
            ``data_prep`` does; or an ``.npz`` whose ``arr_0`` is uint8 ``[N, H, W, C]``.
        channels: of pictures that are decoded, 1 or 3.
        sound: whether recordings are looked for where a path holds no pictures.
        size: pixels of both sides that pictures are cut and resized to; None for pictures as they are.
        rate: Hz that recordings are resampled to; None for recordings as they are.

    Raises:
        InputError: if it is none of these, a file is damaged, sizes or rates differ, or what is packed is to be
            changed.
    """
    if (path / "meta.json").exists() or not path.exists():
        dataset = open_dataset(path)
        _refuse_changes(path, dataset, size, rate)
        yield dataset
        return
    with tempfile.TemporaryDirectory(prefix="mmspec-") as scratch:
        folder = Path(scratch) / (path.resolve().name or "signals")  # which errors call it by
        if path.is_file() and _is_npz(path):
            _pack_array(path, folder)
            _refuse_changes(path, open_dataset(folder), size, rate)
        elif sound and (found := _first_rate(path)) is not None:
            _pack_recordings(path, folder, rate or found, changed=rate is not None)
        else:
            _pack_pictures(path, folder, channels, size)
        yield open_dataset(folder)


def _refuse_changes(path: Path, dataset: StoredDataset, size: int | None, rate: int | None) -> None:
    has, own = dataset.meta.shape[1:], dataset.meta.sample_rate
    if size is not None and own is None and has != (size, size):
        raise InputError(f"{path} is prepared, at {' x '.join(map(str, has))} pixels, not {size}: prepare it again.")
    if rate is not None and own is not None and own != rate:
        raise InputError(f"{path} is prepared, at {own} Hz, not {rate}: prepare it again.")


def _first_rate(path: Path) -> int | None:
    """Hz of the first recording; None if a picture comes before it, or there is none."""
    from data_prep.audio import read_sound
    from data_prep.images import PictureDecoder
    from data_prep.labels import LabelRule
    from data_prep.samples import Rejected
    from data_prep.sources import open_source

    picture = PictureDecoder(None, 3, LabelRule("none"), "lanczos", "white")
    for member in open_source(path).members():
        if not isinstance(member.content, bytes) or not member.content:
            continue
        for decode in (lambda content: picture(member.name, content), read_sound):  # noqa: B023
            try:
                found = decode(member.content)
            except Rejected:
                continue
            return found[1] if isinstance(found, tuple) else None
    return None


def _is_npz(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return path.suffix == ".npz"
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except UNREADABLE:
        return False


def _pack_array(path: Path, folder: Path) -> None:
    """A piece at a time: 50,000 pictures of 256 pixels are 10 GB."""
    wanted = f"expected {ARRAY}, uint8 [N, H, W, C] with C = 1 or 3"
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{ARRAY}.npy" not in archive.namelist():
                raise InputError(f"{path} holds {clipped(', '.join(archive.namelist()) or 'nothing')}: {wanted}.")
            entry = archive.getinfo(f"{ARRAY}.npy")
            Allowance(most_unpacked(entry.compress_size), f"bytes in {ARRAY}").take(entry.file_size)
            with archive.open(entry) as file:
                shape, fortran, dtype, start = array_header(file.read(HEADER_BYTES))
                if len(shape) != 4 or dtype != np.uint8 or fortran or shape[-1] not in (1, 3) or 0 in shape:
                    found = clipped(f"{dtype} {list(shape)}")
                    raise InputError(f"{path} holds {ARRAY} as {found}: {wanted}.")
                file.seek(start)
                if math.prod(shape) > entry.file_size:
                    raise EOFError(f"{ARRAY} ends before its {shape[0]} pictures do")
                _copy(file, shape, folder, path)
    except (*UNREADABLE, OSError, TooMuch) as error:
        # A disk refuses otherwise than a place that is nowhere in the file.
        if isinstance(error, InputError) or getattr(error, "errno", errno.EINVAL) != errno.EINVAL:
            raise
        raise InputError(f"{path} is damaged ({error}): make or fetch it again.") from None


def _copy(file: IO[bytes], shape: tuple[int, ...], folder: Path, source: Path) -> None:
    count, height, width, channels = shape
    meta = DatasetMeta(modality="image", source=source.name, count=count, shape=(channels, height, width))
    size = math.prod(shape[1:])
    step = max(1, ROWS // size)
    with staged(folder) as beside:
        with DataFile(beside, meta, new=True) as data:
            for start in range(0, count, step):
                rows = min(step, count - start)
                data.write(start, np.frombuffer(file.read(rows * size), np.uint8))
        complete(beside, meta=meta)


def _pack_pictures(path: Path, folder: Path, channels: int, size: int | None) -> None:
    from data_prep.images import PictureDecoder
    from data_prep.labels import LabelRule

    sides = None if size is None else (size, size)
    _pack(path, folder, PictureDecoder(sides, channels, LabelRule("none"), "lanczos", "white"), None)


def _pack_recordings(path: Path, folder: Path, rate: int, changed: bool) -> None:
    from data_prep.audio import RecordingDecoder
    from data_prep.labels import LabelRule

    _pack(path, folder, RecordingDecoder(rate, None, "keep", LabelRule("none")), rate)
    other = [what for what in DatasetMeta.read(folder).converted if what.startswith("resampled")]
    if other and not changed:
        others = ", ".join(what.removeprefix("resampled from ") for what in other)
        raise InputError(
            f"{path} holds recordings of {rate} Hz and of {others}: give rate=HZ, to which all are brought."
        )


def _pack(path: Path, folder: Path, decoder: "Decoder", rate: int | None) -> None:
    from data_prep.decoding import decode_members, default_workers
    from data_prep.packing import Plan, pack
    from data_prep.sources import open_source

    source = open_source(path)
    decoded = decode_members(source.members(), decoder, default_workers(source.size))
    found = ((member.name, outcome) for member, outcome in decoded if member.name != "evaluation.json")
    plan = Plan("image" if rate is None else "audio", {}, str(path), rate)
    pack(folder, found, lambda name: ".", ["."], plan)  # type: ignore[arg-type]
    for line in (folder / "rejected.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, why = line.split("\t")
        if not why.startswith(FOREIGN):
            sizes = ", or bring all to one size by `mmspec prepare images` (of `mmspec compare`, by size=PIXELS)"
            mend = f"mend it, or take it out{sizes if why.startswith('another shape') else ''}"
            raise InputError(f"{path} holds {name}, which cannot be compared: {why}; {mend}.")


def remarks(dataset: StoredDataset, path: Path) -> list[str]:
    """What was done to files as they were decoded, in sentences; of a data set, what it says itself."""
    if dataset.folder == path.absolute():
        return dataset.remarks
    kind = "pictures" if dataset.meta.sample_rate is None else "recordings"
    left, converted = sum(dataset.meta.rejected.values()), dataset.meta.converted
    return [
        *([f"{path}: {left} files are no {kind}, and were left out."] if left else []),
        *(f"{path}: {count} {kind} were converted, {what}." for what, count in converted.items()),
    ]
