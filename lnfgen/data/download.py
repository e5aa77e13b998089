"""Downloads that are verified, resumed where a connection broke, and kept in the cache folder."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from lnfgen.data.parallel import Progress, no_progress
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import sha256_of

ATTEMPTS = 5
TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 16  # bytes
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that may be gone a moment later


def cache_folder() -> Path:
    """Where downloads and datasets built on the way are kept: $LNFGEN_CACHE, else the user's cache folder."""
    if own := os.environ.get("LNFGEN_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lnfgen"


def is_fetched(path: Path, size: int, sha256: str) -> bool:
    """Whether the file is there, whole and right."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def fetch(
    url: str, path: Path, *, size: int, sha256: str, progress: Progress = no_progress, pause: float = 1.0
) -> Path:
    """The file at `url` as `path`, downloaded unless it is there already with this size and hash.

    A broken transfer goes on where it stopped, from `path` + `.part`, up to `ATTEMPTS` times, with `pause` seconds
    before the second attempt and twice as long before each further one.

    Raises:
        DatasetError: if it cannot be had or is not what was expected; says what to fetch by hand and where to put it.
        OutputError: if the cache cannot be written.
    """
    if is_fetched(path, size, sha256):
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {path.parent}: {error.strerror}; set LNFGEN_CACHE to a folder that can be written"
        ) from error
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _transfer(url, part, size, progress)
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code not in _TEMPORARY:
                break
            continue
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = " ".join(str(getattr(error, "reason", "") or error or type(error).__name__).split())
            continue
        except ValueError as error:  # an address that is none
            reason = str(error)
            break
        except OSError as error:
            raise OutputError(
                f"cannot write {part}: {error.strerror or error}; make room or set LNFGEN_CACHE to another folder"
            ) from error
        found = part.stat().st_size
        if found < size:
            reason = f"the transfer broke off after {found} of {size} bytes"
            continue
        digest = sha256_of(part)
        if found == size and digest == sha256:
            os.replace(part, path)
            return path
        part.unlink()  # whatever it is, nothing can be added to it
        reason = f"it is not the expected file ({found} bytes or more, SHA-256 {digest[:12]}...)"
    raise DatasetError(
        f"cannot download {url}: {reason}; fetch it by hand ({size} bytes, SHA-256 {sha256}) and put it at {path}"
    )


def _transfer(url: str, part: Path, size: int, progress: Progress) -> None:
    """Append to `part` what it lacks, at most one block over `size`; from the start if the server knows no ranges."""
    done = part.stat().st_size if part.exists() else 0
    if done == size:
        return
    if done > size:
        part.unlink()
        done = 0
    request = urllib.request.Request(url, headers={"User-Agent": "lnfgen", "Accept-Encoding": "identity"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there cannot be continued: drop it, and let the next attempt start over
            part.unlink(missing_ok=True)
            raise ConnectionError("the server cannot go on where the transfer broke off") from error
        raise
    with response:
        continues = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if not continues:
            done = 0
        with open(part, "ab" if continues else "wb") as file:
            while done <= size and (block := response.read(_BLOCK)):
                file.write(block)
                done += len(block)
                progress("downloading", min(done, size), size)


def fingerprint(values: object) -> str:
    """A short hash of what `repr` shows, for names in the cache."""
    return hashlib.sha256(repr(values).encode("utf-8", errors="replace")).hexdigest()[:12]
