"""The options of the gallery: which folders it shows, and at which port."""

from dataclasses import dataclass
from pathlib import Path

from mmspec.errors import InputError


@dataclass(frozen=True)
class GalleryOptions:
    """The keys of conf/gallery.yaml, which says what they mean.

    Raises:
        InputError: for no run, or a port that is none.
    """

    runs: tuple[Path, ...] | Path
    port: int

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError("runs=[] names no run: mmspec gallery FOLDER FOLDER.")
        if not 0 <= self.port < 65536:
            raise InputError(f"port must be 0 to 65535, not {self.port}.")

    @property
    def folders(self) -> list[Path]:
        """In the order shown."""
        return [self.runs] if isinstance(self.runs, Path) else list(self.runs)
