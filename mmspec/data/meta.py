"""What a packed data set says about itself: ``meta.json``."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmspec.documents import mended, read_json
from mmspec.errors import InputError
from mmspec.strangers import shown
from mmspec.typed import read

FORMAT = "mmspec-packed-1"
FILE = "meta.json"
SHARDS = "shards.json"  # beside it where the samples lie in tar shards
AGAIN = "make the data set again"
MAKE = "make one with `mmspec prepare images` or `mmspec prepare audio`"
MOST_HZ = 2**31 - 1  # that sound files can say
DTYPES = {"image": "uint8", "audio": "int16", "latent": "float32"}


@dataclass(frozen=True, kw_only=True)
class DatasetMeta:
    """What is in a packed folder and how it came there.

    Attributes:
        modality: "image", "audio", or "latent" for the moments of another set's latents, as `FirstStage.moments`
            gives them.
        source: where the samples come from: a file or folder name, or the command that generated them.
        sample_rate: in Hz, audio only.
        classes: names, in the order of the labels; None without labels.
        rejected: reason -> how many files were left out for it; ``rejected.tsv`` names them.
        converted: what was done to samples that were kept -> to how many.
        statistics: ``mean``, ``std``, ``sigma_data``, ``power_spectrum``, as measured; empty where not measured.
        preparation: program and options that made the set, by which a second run knows that nothing is left to do.
        first_stage: of latents, `FirstStage.sha256` of what made them.
        encoded: of latents, ``sha256`` of the set that they are of.
        count: samples.
        shape: of one sample as the network sees it, ``(C, *spatial)``.
        sha256: of ``data.npy``.
    """

    modality: str
    source: str
    sample_rate: int | None = None
    classes: tuple[str, ...] | None = None
    rejected: dict[str, int] = field(default_factory=dict)
    converted: dict[str, int] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    preparation: dict[str, Any] = field(default_factory=dict)
    first_stage: str | None = None
    encoded: str | None = None
    count: int = 0
    shape: tuple[int, ...] = ()
    sha256: str = ""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of one sample in ``data.npy``: ``[H, W, C]``, ``[T, C]``, or ``[T]`` where there is one channel."""
        channels, *spatial = self.shape
        return tuple(spatial) if self.modality == "audio" and channels == 1 else (*spatial, channels)

    def write(self, folder: Path) -> None:
        """Write ``meta.json``, a line a key."""
        stored = {"format": FORMAT, "kept": self.count, **asdict(self)}
        lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in stored.items()]
        (folder / FILE).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "DatasetMeta":
        """Read ``meta.json``.

        Raises:
            InputError: if the file is missing, not JSON, of another format, or contradicts itself.
        """
        path = folder / FILE
        try:
            stored = read_json(path, mend=AGAIN)
        except (FileNotFoundError, NotADirectoryError):
            what = f"is not a packed data set (it has no {FILE})" if folder.exists() else "is not there"
            parts = [str(file.parent) for file in sorted(folder.glob(f"*/{FILE}"))]
            mend = f"give one of those in it, {' or '.join(parts)}" if parts else MAKE
            raise InputError(f"{folder} {what}: {mend}.") from None
        if (found := stored.get("format")) != FORMAT:
            raise InputError(f"{path} has the format {shown(found)}, expected {FORMAT!r}: {AGAIN}.")
        required = {"modality", "source", "count", "shape", "sha256"}
        if missing := sorted(required - stored.keys()):
            raise InputError(f"{path} lacks {', '.join(missing)}: {AGAIN}.")
        with mended(AGAIN):
            meta = read(cls, {key.name: stored[key.name] for key in fields(cls) if key.name in stored}, f"{path}:")
        if problem := meta._contradiction():
            raise InputError(f"{path} has {problem}: {AGAIN}.")
        return meta

    def _contradiction(self) -> str | None:
        if self.modality not in DTYPES:
            return f"modality={shown(self.modality)}, expected {' or '.join(DTYPES)}"
        if self.count < 1:
            return f"count={self.count}, expected at least one sample"
        axes = {"image": (3,), "audio": (2,), "latent": (2, 3)}[self.modality]
        if len(self.shape) not in axes or min(self.shape) < 1:
            sizes = " or ".join(str(count) for count in axes)
            return f"shape={shown(self.shape)}, expected {sizes} positive sizes (channels first) for {self.modality}"
        if self.modality == "latent" and not (self.first_stage and self.encoded):
            return "latents without first_stage and encoded"
        if problem := self._rate_problem():
            return problem
        if self.classes == ():
            return "classes=[], expected names or null"
        if twice := [name for name, count in Counter(self.classes).items() if count > 1]:
            return f"two classes called {shown(twice[0])}, expected a name of its own for each"
        return None

    def _rate_problem(self) -> str | None:
        if self.sample_rate is None:
            return "sample_rate=None, expected Hz" if self.modality == "audio" else None
        if self.modality == "image":
            return f"sample_rate={self.sample_rate} of pictures, expected none"
        if not 1 <= self.sample_rate <= MOST_HZ:
            return f"sample_rate={self.sample_rate}, expected 1 to {MOST_HZ:,} Hz"
        return None
