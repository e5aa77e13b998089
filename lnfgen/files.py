"""Write files and folders as a whole, and lock folders.

A crash, a full disk or Ctrl-C never leaves half of a file or folder behind.
"""

import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lnfgen.errors import OutputError

# An older temporary folder without a lock is of a killed process; a new one soon gets its lock.
UNLOCKED_SECONDS = 60.0
# Where the file system has no locks, any older temporary folder is of a killed process.
STALE_SECONDS = 24 * 3600.0


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: if the file is missing or cannot be read.
        ValueError: if it holds anything else, such as NaN, which Python reads and writes but JSON
        lacks.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"found {constant}, which JSON does not have")

    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"found a JSON {type(value).__name__}, expected an object")
    return value


def real_path(path: Path) -> Path:
    """The absolute path without symbolic links.

    A loop of links stays as it is, so that it is an error of the system where it is opened.
    """
    return Path(os.path.realpath(path))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, replacing what is there.

    The bytes go to a temporary file in the same folder first, and reach the disk before that file
    is renamed to `path`. A file that is replaced passes on its permissions. A symbolic link stays,
    and what it leads to is replaced.

    Raises:
        OutputError: if the folder is missing or cannot be written, or the disk is full. `path` is
        then unchanged.
    """
    _require_name(path)
    target = real_path(path)
    with output_errors(path):
        temporary = _beside(target)
        try:
            with open(temporary, "xb") as file:
                if target.exists():
                    shutil.copymode(target, temporary)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)  # it is there only after an error


def write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8, as `write_bytes` does. The line ends are not changed."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any, indent: int) -> None:
    """Write a value as JSON in UTF-8.

    Bytes in names of files that are no UTF-8 become escapes, which are read back.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where it is not there yet."""
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def require_free_folder(path: Path) -> None:
    """Raise an `OutputError` if `path` cannot become a new folder."""
    if real_path(path) == Path.cwd():
        raise OutputError(
            f"{path} is the folder that you are in; expected the name of a new folder; "
            "choose another"
        )
    _require_name(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; expected the name of a new folder; choose another")
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(
            f"{path} is not empty; expected a new or empty folder; remove it or choose another"
        )
    nearest = next(parent for parent in real_path(path).parents if parent.exists())
    require_writable(nearest, path)


def require_parent(path: Path) -> None:
    """Raise an `OutputError` if no file can be written at `path`.

    Call it before the work whose result goes there.
    """
    parent = path.parent
    _require_name(path)
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {parent}; make it first")
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; expected a file name")
    require_writable(parent, path)


def _require_name(path: Path) -> None:
    """Raise an `OutputError` if the system has no file of that name and cannot make one.

    So it is for a loop of symbolic links, a name that is too long, and a folder without permission.
    """
    with output_errors(path), suppress(FileNotFoundError):
        os.stat(path)


def require_writable(folder: Path, path: Path) -> None:
    """Raise an `OutputError` about `path` if nothing can be written in an existing folder."""
    # This tries, because permission bits say little about the root user or a network drive. On
    # Linux the file has no name, so nothing is left behind if the process is killed.
    with output_errors(path), tempfile.TemporaryFile(dir=folder):
        pass


def numbered(path: Path, index: int, count: int) -> Path:
    """One of `count` files that a person named `path`.

    It is `song.mid` if there is one alone, or else `song-01.mid` for index 0.
    """
    if count == 1:
        return path
    digits = max(2, len(str(count)))
    return path.with_name(f"{path.stem}-{index + 1:0{digits}d}{path.suffix}")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `path` at the end of the block.

    After an error it is deleted. Where `path` is a symbolic link, the folder is where it leads to.

    Raises:
        OutputError: if `path` holds something already, also if another process has put it there
        during the block, or cannot be written.
    """
    require_free_folder(path)
    target = real_path(path)
    _sweep(target)
    with output_errors(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(target)
        temporary.mkdir()
    try:
        with output_errors(path), try_lock(temporary):
            yield temporary
            _rename_folder(temporary, target, path)
    except OutputError as error:
        # An error about a file inside names the temporary folder, which nobody knows.
        raise OutputError(str(error).replace(str(temporary), str(path))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename_folder(temporary: Path, target: Path, path: Path) -> None:
    """Rename a folder to `target`, which `path` names. An empty folder there is replaced."""
    try:
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise OutputError(
            f"another process has filled {path} meanwhile; expected a new or empty folder; "
            "remove it or choose another"
        ) from error


@contextmanager
def try_lock(folder: Path) -> Iterator[bool | None]:
    """Take the lock of a folder for the length of the block, and yield True; False if it is taken.

    Where the file system has no locks, None is yielded. The system takes a lock away when its
    process ends.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        free: bool | None = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        except OSError:
            free = None
        yield free
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Delete the folders that killed processes left beside `path`.

    A process at work holds the lock of its folder.
    """
    for item in path.parent.glob(f"{glob.escape(_prefix(path))}????????.tmp"):
        with suppress(OSError), try_lock(item) as free:
            if free is None:
                oldest = STALE_SECONDS
            elif free:
                oldest = UNLOCKED_SECONDS
            else:
                continue
            age = time.time() - item.stat().st_mtime
            if age > oldest:
                shutil.rmtree(item)


def _beside(path: Path) -> Path:
    """A new temporary name in the folder of `path`."""
    return path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}.tmp")


def _prefix(path: Path) -> str:
    """The start of temporary names for `path`.

    A name has at most 255 bytes: 12 follow this start, in which a character takes up to 4.
    """
    return f".{path.name[:60]}."


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into an `OutputError` about `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path}: {reason}; choose another place or make room there"
        ) from error
