"""How the C library keeps memory."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # that glibc takes


def keep_freed_memory() -> None:
    """Keep what is freed for the next step, which wants as much again.

    glibc would hand it to the system and have it back page by page, zeroed: a tenth of a small network's training
    step. Nothing happens where malloc is another's.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, -1)  # never
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
