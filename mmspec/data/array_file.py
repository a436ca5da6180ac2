"""What the beginning of a ``.npy`` says of the array in it, whatever stands there."""

import io

import numpy as np

HEADER_BYTES = 1 << 16  # more than any header of a plain array has


def array_header(start: bytes) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]", int]:
    """Of the first `HEADER_BYTES` of a file: shape, whether the first axis is contiguous, type, and where data begin.

    Raises:
        ValueError: if it is none that NumPy writes of numbers.
    """
    stream = io.BytesIO(start[:HEADER_BYTES])
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception:  # its parser is Python's own, which raises anything
        raise ValueError("its header is none that NumPy writes") from None
    if dtype.hasobject or min(shape, default=1) < 0:
        raise ValueError(f"its header promises {'objects' if dtype.hasobject else f'the shape {list(shape)}'}")
    return shape, fortran, dtype, stream.tell()
