"""Sound at another rate, by windowed sinc interpolation, block by block."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import ceil, gcd

import numpy as np

from data_prep.samples import Rejected

ZEROS, ROLLOFF = 6, 0.99  # of the sinc on each side; of the lower Nyquist frequency: torchaudio's defaults
MOST_WEIGHTS = 1 << 24
MOST_RAISED = 64  # times that a rate is raised: a header that lies would make hours of a second
BLOCK_VALUES = 1 << 20


class Resampler:
    """Blocks of one recording, float32 ``[t, C]``, at another rate: of T samples ``ceil(T * target / rate)``.

    The filter is torchaudio's: a sinc of 6 zeros on each side under a Hann window. Each output is summed over its own
    neighbours only, so that no ratio of rates takes more memory or time than another.

    Args:
        rate: in Hz.
        target: in Hz.

    Raises:
        Rejected: if the rates are further apart than those of any recording.
    """

    def __init__(self, rate: int, target: int) -> None:
        common = gcd(rate, target)
        self.step, self.phases = rate // common, target // common  # so many samples become so many
        self.reach = ceil(ZEROS * self.step / (ROLLOFF * min(self.step, self.phases)))
        if target > MOST_RAISED * rate or self.phases * self._taps > MOST_WEIGHTS:
            raise Rejected("improbable sample rate", f"{rate} Hz in its header, which is not resampled to {target} Hz")
        self._weights = _weights(self.step, self.phases, self.reach)

    @property
    def _taps(self) -> int:
        return 2 * self.reach + 2

    def __call__(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks resampled; their ends need not fall on anything."""
        held = np.zeros((0, 0), np.float32)  # what is still needed, from the sample `origin` on
        origin, length, made = -self.reach, 0, 0
        for block in blocks:
            before = held if held.size else np.zeros((self.reach, block.shape[1]), np.float32)
            held, length = np.concatenate([before, block]), length + len(block)
            end = max(made, (length - self.reach - 1) * self.phases // self.step)
            yield from self._outputs(held, origin, made, end)
            made = end
            start = made * self.step // self.phases - self.reach
            held, origin = held[start - origin :], start
        if length:
            held = np.concatenate([held, np.zeros((self.reach + 2, held.shape[1]), np.float32)])
            yield from self._outputs(held, origin, made, -(-length * self.phases // self.step))

    def _outputs(self, held: np.ndarray, origin: int, start: int, end: int) -> Iterator[np.ndarray]:
        count = max(1, BLOCK_VALUES // (self._taps * held.shape[1]))
        windows = np.lib.stride_tricks.sliding_window_view(held, self._taps, axis=0) if end > start else held
        for first in range(start, end, count):
            outputs = np.arange(first, min(first + count, end))
            near = windows[outputs * self.step // self.phases - self.reach - origin]  # [m, C, taps]
            yield np.einsum("mck,mk->mc", near, self._weights[outputs % self.phases])


@lru_cache(maxsize=4)
def _weights(step: int, phases: int, reach: int) -> np.ndarray:
    """float32 ``[phases, taps]``: how much each neighbour counts, by where between two samples an output falls."""
    weights = np.empty((phases, 2 * reach + 2), np.float32)
    base = ROLLOFF * min(step, phases) / step  # cut-off, of the Nyquist frequency before
    for phase in range(phases):
        place = phase * step % phases / phases  # of the output, behind the sample `reach` from the first neighbour
        time = (np.arange(-reach, reach + 2) - place) * base
        window = np.cos(np.clip(time, -ZEROS, ZEROS) * np.pi / ZEROS / 2) ** 2
        weights[phase] = np.sinc(time) * window * base
    return weights
