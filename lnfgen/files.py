"""Writing files and folders so that a crash, a full disk or Ctrl-C never leaves half of one behind."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lnfgen.errors import OutputError

_HASH_CHUNK = 1 << 20  # bytes; large enough that the loop costs nothing beside the hash


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`: to a temporary name beside it, synced, then renamed over it.

    Raises:
        OutputError: if the folder is missing or cannot be written, or the disk is full; `path` is as it was before.
    """
    path = Path(path)
    with _output_errors(path):
        # mkstemp makes files that only their owner reads; what a person asks for has the permissions of any other file.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8 text, line ends as they stand."""
    write_bytes(path, content.encode("utf-8"))


def require_free_folder(path: Path) -> None:
    """Refuse a folder that holds something: nothing is ever written into what a person already has."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; expected the name of a new folder; choose another --out")
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(f"{path} is not empty; expected a new or empty folder; remove it or choose another --out")
    _require_writable(next(parent for parent in path.absolute().parents if parent.exists()), path)


def require_parent(path: Path) -> None:
    """Refuse a file whose folder is not there, before the work that would fill it."""
    parent = Path(path).parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {parent}; make it first")
    if Path(path).is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; expected a file name")
    _require_writable(parent, path)


def _require_writable(folder: Path, path: Path) -> None:
    # Permissions do not tell: root may write all but what is read-only, and network folders have their own rules.
    with _output_errors(path):
        os.rmdir(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=folder))


def numbered(path: Path, index: int, count: int) -> Path:
    """The name of file `index` of `count`: `song.mid` alone, else `song-01.mid`, `song-02.mid`, ..."""
    if count == 1:
        return path
    return path.with_name(f"{path.stem}-{index + 1:0{max(2, len(str(count)))}d}{path.suffix}")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; it becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        OutputError: if `path` holds something already, or cannot be written.
    """
    path = Path(path)
    require_free_folder(path)
    with _output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        with _output_errors(path):
            yield aside
            os.chmod(aside, 0o777 & ~_umask())
            os.replace(aside, path)  # an empty folder of that name is replaced
    except OutputError as error:  # of a file inside: it is to be in `path`, and nobody knows the temporary name
        raise OutputError(str(error).replace(str(aside), str(path))) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}; choose another --out or make room there") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
