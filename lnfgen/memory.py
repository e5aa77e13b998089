"""What the C library does with memory that tensors have given back."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h)."""


def keep_freed_memory() -> None:
    """Keep what is freed for the tensors that come next, to the end of this process.

    glibc hands large blocks back to the system at once, and takes every page of the next one by a fault: measured, a
    tenth of a training update of the paper's text models and a sixth of a small one of music, at the price of a third
    more memory. Without effect where the C library is another.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
