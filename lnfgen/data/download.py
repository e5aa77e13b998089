"""Download a file into the cache, and keep it only if its SHA-256 is right.

The transfer is pooch's work. Each attempt writes to a temporary file beside the target, checks its SHA-256, and renames
it to the target. So a broken attempt leaves nothing behind, and two programs may download the same file at once. pooch
does not resume a broken transfer: the next attempt begins at the first byte. That costs little here, because all files
are smaller than 6 MB.

This module adds what pooch leaves to its callers: time limits, no second attempt where it would give the same answer,
`file://` addresses for a mirror that is a folder, and errors of one line.

Time limits: each address of a server has `CONNECT_TIMEOUT` seconds to accept the connection, and this is tried once. A
server that is connected and then sends nothing for `READ_TIMEOUT` seconds ends the attempt. With `ATTEMPTS` attempts
and 1, 2 and 3 seconds between them, a silent server is reported after 46 seconds.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lnfgen.data.parallel import Progress, no_progress
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import set_usual_permissions, sha256_of

ATTEMPTS = 4
CONNECT_TIMEOUT = 5.0  # seconds, for each address of the server
READ_TIMEOUT = 10.0  # seconds without a byte
_CHUNK = 1 << 16  # bytes between two reports of progress
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that may change within seconds


def is_fetched(path: Path, size: int, sha256: str) -> bool:
    """Whether the file exists with this size and SHA-256."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def fetch(url: str, path: Path, *, size: int, sha256: str, progress: Progress = no_progress) -> Path:
    """Download `url` to `path`, unless the right file is there already, and return `path`.

        path = cache_folder() / "downloads" / "ptb" / "valid.txt"
        fetch("https://example.org/valid.txt", path, size=399782, sha256="c9fe69...")

    Args:
        url: an address that starts with `https://`, `http://` or `file://`.
        size: the size of the right file, in bytes.
        sha256: its SHA-256, in hexadecimal.

    Raises:
        DatasetError: if the right file cannot be downloaded. The message says what to fetch by hand, and where to put
            it.
        OutputError: if `path` cannot be written.
    """
    if is_fetched(path, size, sha256):
        return path
    # Both take long to import, and most commands download nothing. pooch itself depends on requests.
    import pooch
    from requests.exceptions import RequestException

    pooch.get_logger().setLevel("ERROR")  # it reports on stderr what the progress and the errors below say
    cache = pooch.create(
        path=path.parent.absolute(),
        base_url="",
        registry={path.name: f"sha256:{sha256}"},
        urls={path.name: url},
        retry_if_failed=ATTEMPTS - 1,
    )
    progress("downloading", 0, size)
    try:
        cache.fetch(path.name, downloader=_Attempt(size, progress))
        return path
    except _FinalError as error:
        reason = str(error)
    except RequestException as error:
        reason = _reason(error)
    except ValueError:  # pooch's word for a wrong SHA-256, and ours for too many bytes
        reason = "what arrives is not the expected file"
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; make room there or set LNFGEN_CACHE to another folder"
        ) from error
    raise DatasetError(
        f"cannot download {url}: {reason}; fetch it by hand ({size} bytes, SHA-256 {sha256}) and put it at {path}"
    )


class _FinalError(Exception):
    """A failure that another attempt would only repeat. pooch does not catch it, and so makes no other attempt."""


@dataclass(frozen=True)
class _Attempt:
    """One attempt to write what is at an address to a file; pooch calls it again if it fails."""

    size: int
    progress: Progress

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        scheme = urlsplit(url).scheme
        if scheme == "file":
            try:
                shutil.copyfile(url2pathname(urlsplit(url).path), output_file)
            except OSError as error:
                raise _FinalError(error.strerror or str(error)) from error
        elif scheme in ("http", "https"):
            self._transfer(url, Path(output_file))
        else:
            raise _FinalError("it is no address; expected one that starts with https://, http:// or file://")
        set_usual_permissions(Path(output_file))  # pooch's temporary file may be read by its owner only

    def _transfer(self, url: str, file: Path) -> None:
        import pooch
        from requests.exceptions import ConnectTimeout, HTTPError

        download = pooch.HTTPDownloader(
            progressbar=_Bar(file, self.size, self.progress),
            chunk_size=_CHUNK,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            headers={"User-Agent": "lnfgen", "Accept-Encoding": "identity"},
        )
        try:
            download(url, str(file), None)
        except HTTPError as error:
            if error.response is not None and error.response.status_code in _TEMPORARY:
                raise
            raise _FinalError(_reason(error)) from error
        except ConnectTimeout as error:  # a server may have many addresses, each with its own wait
            raise _FinalError(_reason(error)) from error


class _Bar:
    """What pooch drives as a progress bar.

    It looks at the size of the file, because pooch counts in whole chunks. It also ends a transfer that has become
    longer than the file that is expected, so that a wrong address does not fill the disk.
    """

    def __init__(self, file: Path, size: int, progress: Progress) -> None:
        self.total = size
        self._file, self._size, self._progress = file, size, progress

    def update(self, amount: int) -> None:
        done = self._file.stat().st_size
        if done > self._size:
            raise ValueError(f"over {self._size} bytes arrive")
        self._progress("downloading", done, self._size)

    def reset(self) -> None: ...

    def close(self) -> None: ...


def _reason(error: Any) -> str:
    """What went wrong in a transfer, in a few words; the messages of requests run over several lines."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.ConnectTimeout):
        return f"the server accepts no connection within {CONNECT_TIMEOUT:g} seconds"
    if isinstance(error, exceptions.ReadTimeout):
        return f"the server sends nothing for {READ_TIMEOUT:g} seconds"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the transfer breaks off each time"
    if isinstance(error, exceptions.SSLError):
        return "there is no secure connection to the server"
    if isinstance(error, exceptions.ProxyError):
        return "the proxy gives no connection to the server"
    if isinstance(error, exceptions.ConnectionError):
        return "there is no connection to the server, or it breaks off each time"
    return " ".join(str(error).split())[:120] or type(error).__name__
