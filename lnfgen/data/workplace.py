"""A folder for what a long preprocessing has done so far, so that it goes on from there after it was killed."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from lnfgen.files import make_folder, try_lock


class Workplace:
    """The hidden folder `.NAME.reading` beside the dataset NAME, made at the first use and removed at the end.

        with Workplace(target) as place:
            prepare(sources, options, place=place).write(target)

    It stays where the program is killed or interrupted in the block. An error removes it. If another process is making
    the same dataset, or without a target, it is a temporary folder.
    """

    def __init__(self, target: Path | None = None) -> None:
        self._target = target
        self._folder: Path | None = None
        self._lock = ExitStack()

    def folder(self) -> Path:
        """The folder.

        Raises:
            OutputError: if it cannot be made.
        """
        if self._folder is None:
            if self._target is not None:
                shared = self._target.with_name(f".{self._target.name}.reading")
                make_folder(shared)
                self._folder = shared if self._take(shared) else None
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="lnfgen-reading-"))
        return self._folder

    def _take(self, folder: Path) -> bool:
        free = self._lock.enter_context(try_lock(folder))
        return free and folder.is_dir()  # else the process that had it has just removed it

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None or issubclass(kind, Exception):
            self.remove()
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder and what it holds."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __del__(self) -> None:
        if self._target is None:
            self.remove()
