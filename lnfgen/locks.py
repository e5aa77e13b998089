"""Locks of folders, so that two processes do not write into one.

The system takes a lock away when the process ends, however it ends, so that no file has to be cleaned up. On Windows,
and on file systems without locks, every folder is free.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def try_lock(folder: Path) -> Iterator[bool]:
    """Take the lock of a folder for the length of the block if nobody has it; false if somebody has."""
    if fcntl is None:
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        free = True
        with suppress(OSError):  # the file system may have no locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
        yield free
    finally:
        os.close(descriptor)
