"""Downloads against a local server: whole, resumed, verified; offline a line that says what to do."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lnfgen.data.download import cache_folder, fetch
from lnfgen.errors import DatasetError

CONTENT = bytes(range(256)) * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `cut` answers break off at half; `ranges`: whether it knows ranges; `status`: errors first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file": CONTENT}
        self.cut = 0
        self.ranges = True
        self.status: list[int] = []
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        if self.server.status:
            return self.send_error(self.server.status.pop(0))
        if self.path not in self.server.files:
            return self.send_error(404)
        content = self.server.files[self.path]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if self.server.cut:
            self.server.cut -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, path: Path, name: str = "/file") -> Path:
    return fetch(server.url + name, path, size=len(CONTENT), sha256=SHA, pause=0.001)


def test_whole(server: Server, tmp_path: Path) -> None:
    shown: list[tuple[str, int, int]] = []
    path = tmp_path / "new" / "file"
    fetch(server.url + "/file", path, size=len(CONTENT), sha256=SHA, progress=lambda *state: shown.append(state))
    assert path.read_bytes() == CONTENT
    assert [item.name for item in path.parent.iterdir()] == ["file"]
    assert shown[-1] == ("downloading", len(CONTENT), len(CONTENT))


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    get(server, tmp_path / "file")
    assert server.requests == []
    (tmp_path / "file").write_bytes(CONTENT[:-1] + b"!")
    assert get(server, tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.cut, server.ranges = 2, ranges
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert len(server.requests) == 3
    assert server.requests[1] == f"bytes={len(CONTENT) // 2}-"


def test_a_later_call_goes_on(server: Server, tmp_path: Path) -> None:
    server.cut = 99
    with pytest.raises(DatasetError, match="broke off"):
        get(server, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    had = (tmp_path / "file.part").stat().st_size
    server.cut, server.requests = 0, []
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == [f"bytes={had}-"]


def test_a_part_of_something_else_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    (tmp_path / "file").unlink()
    (tmp_path / "file.part").write_bytes(b"x" * len(CONTENT) * 2)
    assert get(server, tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"!", CONTENT * 3, b""])
def test_wrong_bytes_are_not_kept(server: Server, tmp_path: Path, wrong: bytes) -> None:
    server.files["/wrong"] = wrong
    with pytest.raises(DatasetError, match="by hand") as caught:
        get(server, tmp_path / "file", "/wrong")
    assert SHA in str(caught.value)
    assert not (tmp_path / "file").exists()


def test_an_answer_that_will_not_change_is_not_asked_twice(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="404") as caught:
        get(server, tmp_path / "file", "/none")
    assert len(server.requests) == 1
    for part in (server.url + "/none", SHA, str(len(CONTENT)), str(tmp_path / "file")):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.status = [503, 429, 500]
    assert get(server, tmp_path / "file").read_bytes() == CONTENT


def test_offline(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="by hand"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", size=1, sha256=SHA, pause=0.001)
    with pytest.raises(DatasetError, match="by hand"):
        fetch("nonsense", tmp_path / "file", size=1, sha256=SHA, pause=0.001)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("LNFGEN_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "lnfgen"
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("LNFGEN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "lnfgen"
