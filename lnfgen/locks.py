"""Locks of folders, so that two processes do not write into one. Who trains a run holds the lock of its folder.

The system takes a lock away when the process ends, however it ends, so that no file has to be cleaned up. On Windows,
and on file systems without locks, every folder is free.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lnfgen.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def try_lock(folder: Path) -> Iterator[bool | None]:
    """Take the lock of a folder for the length of the block if nobody has it.

    True: it is taken; False: another process has it; None: there are no locks here.
    """
    if fcntl is None:
        yield None
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        free = None
        with suppress(OSError):  # the file system may have no locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = True
            except BlockingIOError:
                free = False
        yield free
    finally:
        os.close(descriptor)


@contextmanager
def training_lock(run: Path) -> Iterator[None]:
    """Hold the lock of a run for the length of the block.

    Raises:
        RunError: if another process holds it.
    """
    with try_lock(run) as free:
        if free is False:
            raise RunError(f"{run} is being trained by another process; wait until that ends, or stop it")
        yield
