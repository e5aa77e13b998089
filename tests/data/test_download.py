"""Downloads against a local server: whole, verified, tried again; a failure is one line that says what to do."""

import contextlib
import hashlib
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from lnfgen.data import download
from lnfgen.data.download import ATTEMPTS, cache_folder, fetch
from lnfgen.errors import DatasetError, OutputError

CONTENT = bytes(range(256)) * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `cut` answers break off at half; `status`: errors first; `silent` before or at half of a file."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file": CONTENT}
        self.cut = 0
        self.status: list[int] = []
        self.silent = ""
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.silent == "before":
            time.sleep(1)
            return None
        if self.server.status:
            return self.send_error(self.server.status.pop(0))
        if self.path not in self.server.files:
            return self.send_error(404)
        body = self.server.files[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cut:
            self.server.cut -= 1
            body = body[: len(body) // 2]
        if self.server.silent == "at half":
            self.wfile.write(body[: len(body) // 2])
            time.sleep(1)
            return None
        self.wfile.write(body)
        return None

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client may stop reading
            super().handle()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long pooch would have waited between attempts."""
    waited: list[float] = []
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=waited.append))
    return waited


def get(server: Server, path: Path, name: str = "/file") -> Path:
    fetch(server.url + name, path, SHA)
    return path


def test_whole(server: Server, tmp_path: Path) -> None:
    shown: list[tuple[str, int, int]] = []
    path = tmp_path / "new" / "file"
    fetch(server.url + "/file", path, SHA, lambda *state: shown.append(state))
    assert path.read_bytes() == CONTENT
    assert [item.name for item in path.parent.iterdir()] == ["file"]
    assert shown[-1] == ("downloading", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in shown] == sorted(done for _, done, _ in shown)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_the_file_has_the_permissions_of_any_other(server: Server, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    get(server, tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    get(server, tmp_path / "file")
    assert server.requests == 0
    (tmp_path / "file").write_bytes(CONTENT[:-1] + b"!")
    assert get(server, tmp_path / "file").read_bytes() == CONTENT


def test_a_transfer_that_fails_is_tried_again_in_silence(
    server: Server, tmp_path: Path, pauses: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    server.cut, server.status = 2, [503]
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == 4
    assert len(pauses) == 3
    assert capfd.readouterr() == ("", "")


def test_a_transfer_that_always_breaks_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.cut = 99
    with pytest.raises(DatasetError, match="breaks off"):
        get(server, tmp_path / "file")
    assert server.requests == ATTEMPTS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"!", CONTENT * 3, b""])
def test_wrong_bytes_are_not_kept(server: Server, tmp_path: Path, wrong: bytes) -> None:
    server.files["/wrong"] = wrong
    with pytest.raises(DatasetError, match=r"not the expected file.*by hand") as caught:
        get(server, tmp_path / "file", "/wrong")
    assert SHA in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", ["before", "at half"])
def test_a_silent_server_is_said_after_one_attempt(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    server.silent = when
    with pytest.raises(DatasetError, match=r"nothing for 0\.2 seconds.*by hand"):
        get(server, tmp_path / "file")
    assert server.requests == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["{}/none", "http://127.0.0.1:9/file", "nonsense", "ftp://127.0.0.1/file"])
def test_a_failure_is_one_line_that_says_what_to_do(server: Server, tmp_path: Path, url: str) -> None:
    url = url.format(server.url)
    with pytest.raises(DatasetError, match="by hand") as caught:
        fetch(url, tmp_path / "file", SHA)
    for part in (url, SHA, str(tmp_path / "file")):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_two_downloads_at_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(get, server, tmp_path / "file") for _ in range(8)]:
            assert future.result().read_bytes() == CONTENT
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_two_programs_download_at_once_into_a_folder_that_neither_has(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    program = f"from lnfgen.data.download import *; fetch({server.url + '/file'!r}, Path({str(path)!r}), {SHA!r})"
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    assert [item.read_bytes() for item in path.parent.iterdir()] == [CONTENT]


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(OutputError, match="LNFGEN_CACHE"):
        get(server, tmp_path / "cache" / "file")
    assert server.requests == 0


def test_cache_folder_is_the_one_that_the_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("LNFGEN_CACHE", "~/own")
    assert cache_folder() == Path.home() / "own"
