"""What a folder that is shown holds: packed samples, previews of training, logs. Nothing outside of it is read."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmspec.data import PackedDataset
from mmspec.data.media import picture, spectrogram, write_wav
from mmspec.data.walk import FILE as WALK
from mmspec.data.walk import FOLDER, Walk
from mmspec.errors import InputError
from mmspec.report.runs import ReportedRun, read_runs

PREVIEW = re.compile(r"step_(\d{8})\.png")
READ = ("config.yaml", "metrics.jsonl", "evaluation.json", "samples/final/sample.json")
PACKED = ("meta.json", "data.npy", "labels.npy", "lengths.npy", WALK)


@dataclass(frozen=True)
class Shown:
    """A run, or a packed set of samples.

    Attributes:
        folder: resolved; whatever lies elsewhere, by a link too, is not read.
        name: in the page.
    """

    folder: Path
    name: str

    def sets(self) -> dict[str, PackedDataset]:
        """Packed sets by name: the folder itself, or those in a run's ``samples``.

        Raises:
            InputError: if a set cannot be read.
        """
        return {place.name: _opened(place, _stamp(place / "meta.json")) for place in self._places()}

    def walks(self) -> dict[str, Walk]:
        """Walks of samples, by the name of their set.

        Raises:
            InputError: if one cannot be read.
        """
        kept = {place.name: place / FOLDER for place in self._places() if (place / FOLDER / WALK).is_file()}
        return {name: _walked(place, _stamp(place / WALK)) for name, place in kept.items() if self._whole(place)}

    def previews(self) -> dict[int, Path]:
        """Step -> picture of samples that were drawn while training."""
        found = {int(match[1]): file for file in self._files("samples") if (match := PREVIEW.fullmatch(file.name))}
        return dict(sorted(found.items()))

    def reported(self) -> ReportedRun:
        """Logs and evaluation, as they are now.

        Raises:
            InputError: if a file cannot be read, or is a link to elsewhere.
        """
        for name in READ:
            if not self.holds(self.folder / name):
                raise InputError(f"{self.folder / name} leads out of the folder: put the file itself there.")
        (run,) = read_runs([self.folder])
        return ReportedRun(**{**vars(run), "name": self.name})

    def stamp(self) -> str:
        """Changes when anything that is shown may have changed."""
        files = [*(self.folder / name for name in (*READ, "samples")), *self.folder.glob("samples/*/meta.json")]
        files += [*self.folder.glob(f"samples/*/{FOLDER}/{WALK}"), self.folder / FOLDER / WALK]
        return "-".join(str(_stamp(file)) for file in files)

    def holds(self, path: Path) -> bool:
        """Whether a path stays in the folder, links followed."""
        return path.resolve().is_relative_to(self.folder)

    def _files(self, name: str) -> Iterator[Path]:
        folder = self.folder / name
        if folder.is_dir() and self.holds(folder):
            yield from (file for file in folder.iterdir() if file.is_file() and self.holds(file))

    def _places(self) -> list[Path]:
        """Of packed samples."""
        if (self.folder / "meta.json").is_file():
            places = [self.folder]
        else:
            places = sorted(file.parent for file in self.folder.glob("samples/*/meta.json"))
        return [place for place in places if self._whole(place)]

    def _whole(self, place: Path) -> bool:
        return all(self.holds(place / name) for name in PACKED)


def shown(folders: Sequence[Path]) -> list[Shown]:
    """Folders with the shortest names that tell them apart.

    Raises:
        InputError: if one is neither a run nor a packed set, or cannot be read.
    """
    return [Shown(folder.resolve(), run.name) for folder, run in zip(folders, read_runs(list(folders)), strict=True)]


def facts(dataset: PackedDataset) -> dict[str, Any]:
    """What a page must know of a set."""
    meta = dataset.meta
    return {
        "count": meta.count,
        "shape": meta.shape,
        "sampleRate": meta.sample_rate,
        "source": meta.source,
        "version": (meta.sha256 or "")[:16],
    }


def label(dataset: PackedDataset, index: int) -> str:
    """What is known of a sample: its caption or class; else nothing."""
    if dataset.labels is not None and dataset.meta.classes:
        return dataset.meta.classes[int(dataset.labels[index])]
    return ""


def thumbnail(dataset: PackedDataset, index: int) -> bytes:
    """PNG of a sample: a picture, or a recording's spectrogram."""
    if (rate := dataset.meta.sample_rate) is None:
        image = picture(_stored_picture(dataset.data[index]))
    else:
        image = spectrogram(clip(dataset, index), rate, frames=240)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def whole(dataset: PackedDataset, index: int) -> bytes:
    """PNG of a picture, pixel by pixel; of a recording, a finer spectrogram."""
    if (rate := dataset.meta.sample_rate) is None:
        pixels = _stored_picture(dataset.data[index])
        image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).convert("RGB")
    else:
        image = spectrogram(clip(dataset, index), rate, frames=960)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def sound(dataset: PackedDataset, index: int) -> bytes:
    """A recording as a 16-bit WAV file.

    Raises:
        IndexError: if the set is of pictures.
    """
    if dataset.meta.sample_rate is None:
        raise IndexError(index)
    buffer = io.BytesIO()
    write_wav(buffer, clip(dataset, index), dataset.meta.sample_rate)
    return buffer.getvalue()


def clip(dataset: PackedDataset, index: int) -> np.ndarray:
    """``[C, T]`` float32 in [-1, 1], without the silence behind it."""
    stored = dataset.data[index].astype(np.float32) / 32768
    length = len(stored) if dataset.lengths is None else int(dataset.lengths[index])
    cut: np.ndarray = stored[None, :length] if stored.ndim == 1 else stored[:length].T
    return cut


def _stored_picture(pixels: np.ndarray) -> np.ndarray:
    """Of the channels of a picture, those that a screen shows: ``[H, W, 1 or 3]``."""
    shown: np.ndarray = pixels if pixels.shape[2] in (1, 3) else pixels[..., :1]
    return shown


def _stamp(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(maxsize=64)
def _opened(folder: Path, stamp: int) -> PackedDataset:
    return PackedDataset(folder)


@lru_cache(maxsize=64)
def _walked(folder: Path, stamp: int) -> Walk:
    return Walk(folder)
