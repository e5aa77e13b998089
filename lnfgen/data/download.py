"""The folder of the cache, and downloads into it. A file is kept only if its SHA-256 is right."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import platformdirs

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import make_folder, sha256_of, write_bytes

ATTEMPTS = 4  # with 1, 2 and 3 seconds between them
# seconds without a byte; without a connection it is half, for each of the server's addresses
TIMEOUT = 10


class KnownFile(NamedTuple):
    """What is known of a file before it is downloaded."""

    sha256: str
    size: int  # in bytes; no more are taken, whatever the server sends


def cache_folder() -> Path:
    """The folder for files that can be made again, which need not exist.

    It is `$LNFGEN_CACHE`, or the usual one of the operating system.
    """
    own = os.environ.get("LNFGEN_CACHE")
    if own:
        return Path(own).expanduser()
    return platformdirs.user_cache_path("lnfgen", appauthor=False)


@contextmanager
def cache_errors() -> Iterator[None]:
    """Say in an `OutputError` of the block how to choose another folder for the cache."""
    try:
        yield
    except OutputError as error:
        raise OutputError(
            f"{str(error).split(';')[0]}; set LNFGEN_CACHE to a folder that can be written"
        ) from error


def is_fetched(path: Path, known: KnownFile) -> bool:
    """True if the file exists with its size and its SHA-256."""
    if not path.is_file() or path.stat().st_size != known.size:
        return False
    return sha256_of(path) == known.sha256


@cache_errors()
def fetch(url: str, path: Path, known: KnownFile, progress: Progress = no_progress) -> None:
    """Download a web address to `path`, unless the right file is there already.

    A server that falls silent is not tried again, which would take minutes.

    Raises:
        DatasetError: if the right file cannot be downloaded. The message says how to put it there
            by hand.
        OutputError: if `path` cannot be written.
    """
    import requests  # it takes long to import, and most commands download nothing

    if is_fetched(path, known):
        return
    make_folder(path.parent)
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        try:
            content = _download(url, known.size, progress)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            reason = "there is no connection to the server, or it breaks off"
            if "timed out" in str(error):  # requests raises a ConnectionError for that too
                reason = f"the server sends nothing for {TIMEOUT} seconds"
                break
        except (requests.RequestException, ValueError) as error:
            reason = str(error)
        else:
            if hashlib.sha256(content).hexdigest() == known.sha256:
                return write_bytes(path, content)
            reason = "what arrives is not the expected file"
    raise DatasetError(
        f"cannot download {url}: {reason}; fetch it by hand (its SHA-256 is {known.sha256}) and "
        f"put it at {path}"
    )


def _download(url: str, size: int, progress: Progress) -> bytes:
    """What a server sends, or a `ValueError` as soon as it is more than `size` bytes."""
    import requests

    content = bytearray()
    with requests.get(url, stream=True, timeout=(TIMEOUT / 2, TIMEOUT)) as response:
        response.raise_for_status()
        for chunk in response.iter_content(1 << 16):
            content += chunk
            if len(content) > size:
                raise ValueError(f"the server sends more than the {size:,} bytes of the file")
            progress("downloading", len(content), size)
    return bytes(content)
