"""What a figure is told: the keys of conf/figure/<name>.yaml, as fields of a class of that name."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mmspec import typed


@dataclass(frozen=True, kw_only=True)
class FigureOptions(ABC):
    """The options of a figure; a subclass for each, looked up by its name.

    Attributes:
        figure: its name, as of the YAML file.
    """

    figure: str

    @classmethod
    def read(cls, config: dict[str, object]) -> Self:
        """From a configuration.

        Raises:
            InputError: for a key that the figure does not have, or a value that a key does not take.
        """
        return typed.read(cls, config)

    @abstractmethod
    def draw(self) -> Path:
        """Write the figure; returns the file.

        Raises:
            InputError: if a source cannot be read, a value cannot be used, or a file is there that mmspec did not make.
        """
