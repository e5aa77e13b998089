"""The folder of the cache, and downloads into it. A file is kept only if its SHA-256 is right.

pooch writes each transfer to a temporary file, checks it, and then renames it. So a broken transfer leaves nothing
behind, and two programs may download the same file at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import set_usual_permissions, sha256_of

ATTEMPTS = 4  # pooch waits 1, 2 and 3 seconds between them
TIMEOUT = 10  # seconds without a byte; without a connection it is half, for each of the server's addresses


def cache_folder() -> Path:
    """The folder for files that can be downloaded or built again. It need not exist yet.

    It is `$LNFGEN_CACHE` if that is set, or else the operating system's usual place for caches.
    """
    if own := os.environ.get("LNFGEN_CACHE"):
        return Path(own).expanduser()
    return platformdirs.user_cache_path("lnfgen", appauthor=False)


def is_fetched(path: Path, sha256: str) -> bool:
    """True if the file exists with this SHA-256."""
    return path.is_file() and sha256_of(path) == sha256


def fetch(url: str, path: Path, sha256: str, progress: Progress = no_progress) -> None:
    """Download a web address to `path`, unless the right file is there already.

    Raises:
        DatasetError: if the right file cannot be downloaded. The message says how to put it there by hand.
        OutputError: if `path` cannot be written.
    """
    # They take long to import, and most commands download nothing. pooch depends on requests, and that on urllib3.
    import pooch
    import requests
    from urllib3.exceptions import ReadTimeoutError

    class Downloader(pooch.HTTPDownloader):
        """pooch's own, but a server that falls silent is not tried again, which would take minutes."""

        def __call__(self, *args: object) -> None:
            try:
                super().__call__(*args)
            except (requests.Timeout, requests.ConnectionError) as error:
                if isinstance(error, requests.Timeout) or any(
                    isinstance(item, ReadTimeoutError) for item in error.args
                ):
                    raise TimeoutError from None  # requests has two names for it, and pooch tries both again
                raise

    pooch.get_logger().setLevel("ERROR")  # the progress and the errors below say the same
    cache = pooch.create(
        path.parent.absolute(), "", registry={path.name: sha256}, urls={path.name: url}, retry_if_failed=ATTEMPTS - 1
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # pooch fails where another program makes it meanwhile
        timeout = (TIMEOUT / 2, TIMEOUT)
        cache.fetch(path.name, downloader=Downloader(_Bar(progress), chunk_size=1 << 16, timeout=timeout))
        set_usual_permissions(path)
        return
    except TimeoutError:
        reason = f"the server sends nothing for {TIMEOUT} seconds"
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        reason = "there is no connection to the server, or it breaks off"
    except requests.RequestException as error:
        reason = str(error)
    except ValueError:  # pooch raises this for a wrong SHA-256
        reason = "what arrives is not the expected file"
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; make room there or set LNFGEN_CACHE to another folder"
        ) from error
    raise DatasetError(
        f"cannot download {url}: {reason}; fetch it by hand (its SHA-256 is {sha256}) and put it at {path}"
    )


class _Bar:
    """A progress bar in the form that pooch expects. pooch sets `total` at the start of each attempt."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self.done = 0
        self.progress = progress

    def update(self, amount: int) -> None:
        self.done = min(self.done + amount, self.total)
        self.progress("downloading", self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None: ...
