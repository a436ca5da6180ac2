"""What a packed data set says about itself: ``meta.json``."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmspec.errors import InputError

FORMAT = "mmspec-packed-1"
FILE = "meta.json"
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
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{folder} is not a packed data set (it has no {FILE}): make one with `python -m data_prep.images` "
                "or `python -m data_prep.audio`."
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}): make the data set again.") from None
        found = stored.get("format") if isinstance(stored, dict) else None
        if found != FORMAT:
            raise InputError(f"{path} has the format {found!r}, expected {FORMAT!r}: make the data set again.")
        required = {"modality", "source", "count", "shape", "sha256"}
        if missing := sorted(required - stored.keys()):
            raise InputError(f"{path} lacks {', '.join(missing)}: make the data set again.")
        meta = cls(**{key.name: _tuple(stored[key.name]) for key in fields(cls) if key.name in stored})
        if problem := meta._contradiction():
            raise InputError(f"{path} has {problem}: make the data set again.")
        return meta

    def _contradiction(self) -> str | None:
        if self.modality not in DTYPES:
            return f"modality={self.modality!r}, expected {' or '.join(DTYPES)}"
        if not isinstance(self.count, int) or self.count < 1:
            return f"count={self.count!r}, expected at least one sample"
        axes = {"image": (3,), "audio": (2,), "latent": (2, 3)}[self.modality]
        if (
            not isinstance(self.shape, tuple)
            or len(self.shape) not in axes
            or not all(isinstance(size, int) and size > 0 for size in self.shape)
        ):
            sizes = " or ".join(str(count) for count in axes)
            return f"shape={self.shape!r}, expected {sizes} positive sizes (channels first) for {self.modality}"
        if self.modality == "latent" and not (self.first_stage and self.encoded):
            return "latents without first_stage and encoded"
        if self.modality == "audio" and not isinstance(self.sample_rate, int):
            return f"sample_rate={self.sample_rate!r}, expected Hz"
        if self.classes is not None and not (isinstance(self.classes, tuple) and self.classes):
            return f"classes={self.classes!r}, expected a list of names or null"
        return None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
