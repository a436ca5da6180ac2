"""The standard normal numbers that torch draws on a CPU, without torch: one seed is one sample either way."""

from collections.abc import Sequence

import numpy as np

BLOCK = 16  # numbers that are made of as many uniform ones; fewer are drawn by another rule


class NormalNoise:
    """What ``torch.randn(shape, generator=Generator().manual_seed(seed))`` puts out, call by call, to 1e-6.

    The generator is the Mersenne twister of Matsumoto and Nishimura 1998, started from the seed's lower 32 bits; of
    each block of 16 uniform numbers the first eight are radii and the others angles of Box and Muller 1958.

    Args:
        seed: 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self._twister = np.random.RandomState(seed % 2**32)

    def draw(self, shape: Sequence[int]) -> np.ndarray:
        """The next numbers, float32 of a shape that holds at least `BLOCK`.

        Raises:
            ValueError: for a smaller one.
        """
        count = int(np.prod(shape))
        if count < BLOCK:
            raise ValueError(f"noise of {count} numbers is not drawn as torch draws it: give {BLOCK} or more.")
        whole = count // BLOCK * BLOCK
        uniform = self._uniform(count)
        out = np.empty(count, np.float32)
        out[:whole] = _normal(uniform[:whole])
        if whole < count:  # the last block, over those before it, is of new numbers
            out[-BLOCK:] = _normal(self._uniform(BLOCK))
        return out.reshape(shape)

    def _uniform(self, count: int) -> np.ndarray:
        """In [0, 1), of 24 bits each."""
        bits = self._twister.randint(0, 2**32, count, dtype=np.uint32)
        return (bits & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def _normal(uniform: np.ndarray) -> np.ndarray:
    radii, angles = uniform.reshape(-1, 2, BLOCK // 2).swapaxes(0, 1)
    radius, angle = np.sqrt(-2 * np.log(1 - radii)), np.float32(2 * np.pi) * angles
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
