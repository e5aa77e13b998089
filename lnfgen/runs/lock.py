"""Which runs are being trained at this moment: the process that trains a run holds a lock on its folder.

On Windows, and on file systems without locks, no run is known to be in training.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lnfgen.errors import RunError
from lnfgen.locks import try_lock


@contextmanager
def training_lock(run: Path) -> Iterator[None]:
    """Hold the lock of a run for the length of the block.

    Raises:
        RunError: if another process holds it.
    """
    with try_lock(run) as free:
        if not free:
            raise RunError(f"{run} is being trained by another process; wait until that ends, or stop it")
        yield


def is_in_training(run: Path) -> bool:
    """Whether a process trains this run now."""
    with try_lock(run) as free:
        return not free
