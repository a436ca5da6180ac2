"""Features that were found before an evaluation was cut off: a file of arrays, one a batch, in the order of batches."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class BegunFeatures:
    """What is known of a set already, and is added to batch by batch.

    Args:
        file: that keeps it, and need not exist; None keeps nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file

    def read(self) -> list[Tensor]:
        """Features ``[n, D]`` of the first batches; what was half written when the process was killed is cut off."""
        found: list[Tensor] = []
        if self.file is None or not self.file.exists():
            return found
        with self.file.open("r+b") as stream:
            whole = 0
            while True:
                try:
                    found.append(torch.from_numpy(np.lib.format.read_array(stream, allow_pickle=False)))
                except (ValueError, EOFError):
                    stream.truncate(whole)
                    return found
                whole = stream.tell()

    def add(self, features: Tensor) -> None:
        """Keep the features ``[n, D]`` of the next batch."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab") as stream:
                np.lib.format.write_array(stream, features.numpy(), allow_pickle=False)
