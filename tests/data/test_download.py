"""Downloads against a local server: whole, verified, tried again; a failure is one line that says
what to do."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from lnfgen.data import download
from lnfgen.data.download import ATTEMPTS, KnownFile, cache_folder, fetch
from lnfgen.errors import DatasetError, OutputError

CONTENT = bytes(range(256)) * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
KNOWN = KnownFile(SHA, len(CONTENT))


MOST_SENT = 1 << 28  # of a test that fails


class Server(ThreadingHTTPServer):
    """Serves `files`; `cut` answers break off at half; `status`: errors first; `silent` before or
    at half of a file; `endless`: as many bytes as are taken, which `sent` counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file": CONTENT}
        self.cut = 0
        self.status: list[int] = []
        self.silent = ""
        self.endless = False
        self.sent = 0
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
        if self.server.endless:
            return self.send_for_ever()
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

    def send_for_ever(self) -> None:
        self.send_response(200)
        self.end_headers()
        while self.server.sent < MOST_SENT:
            self.wfile.write(CONTENT)
            self.server.sent += len(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client may stop reading
            super().handle()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long `fetch` would have waited before each attempt."""
    waited: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waited.append))
    return waited


def get(server: Server, path: Path) -> Path:
    fetch(f"{server.url}/file", path, KNOWN)
    return path


def test_whole(server: Server, tmp_path: Path) -> None:
    shown: list[tuple[str, int, int]] = []
    path = tmp_path / "new" / "file"
    fetch(server.url + "/file", path, KNOWN, lambda *state: shown.append(state))
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert shown[-1] == ("downloading", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in shown] == sorted(done for _, done, _ in shown)


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
    assert pauses == [0, 1, 2, 3]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "cut", "reason"),
    [
        (CONTENT, 99, "breaks off"),
        (CONTENT[:-1] + b"!", 0, "not the expected file"),
        (CONTENT + b"!", 0, "sends more than the 256,000 bytes of the file"),
        (b"", 0, "not the expected file"),
    ],
)
def test_what_always_breaks_off_or_is_wrong_leaves_nothing(
    server: Server, tmp_path: Path, content: bytes, cut: int, reason: str
) -> None:
    server.files["/file"], server.cut = content, cut
    with pytest.raises(DatasetError, match=reason):
        get(server, tmp_path / "file")
    assert server.requests == ATTEMPTS
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_without_end_is_left_after_the_size_of_the_file(
    server: Server, tmp_path: Path
) -> None:
    server.endless = True
    with pytest.raises(DatasetError, match=r"sends more than the 256,000 bytes.*by hand") as error:
        get(server, tmp_path / "file")
    assert "\n" not in str(error.value)
    assert server.sent < 100 * ATTEMPTS * len(CONTENT)  # the system takes some on its own
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


@pytest.mark.parametrize(
    "url", ["{}/none", "http://127.0.0.1:9/file", "nonsense", "ftp://127.0.0.1/file"]
)
def test_a_failure_is_one_line_that_says_what_to_do(
    server: Server, tmp_path: Path, url: str
) -> None:
    url = url.format(server.url)
    with pytest.raises(DatasetError, match="by hand") as caught:
        fetch(url, tmp_path / "file", KNOWN)
    for part in (url, SHA, str(tmp_path / "file")):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_downloads_at_once_into_a_folder_that_is_not_there(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(get, server, path) for _ in range(8)]:
            assert future.result().read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(OutputError, match="LNFGEN_CACHE"):
        get(server, tmp_path / "cache" / "file")
    assert server.requests == 0


def test_cache_folder_is_the_one_that_the_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("LNFGEN_CACHE", "~/own")
    assert cache_folder() == Path.home() / "own"
