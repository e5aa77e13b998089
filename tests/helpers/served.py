"""A server of `lnfgen serve` in this process, and a client of its API."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from lnfgen.runs.folder import RunFolder
from lnfgen.serving.server import Server, listening_socket
from lnfgen.serving.studio import Studio
from lnfgen.serving.takes import Takes

HOST = "127.0.0.1"
SECONDS = 60


class Client:
    """Sends requests to a server, with its token."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.token = token

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """The answer to a request, whatever its status is."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(
            method, self.address + path, headers=headers, timeout=SECONDS, **options
        )

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._value("GET", path, 200)

    def post(self, path: str, status: int, **options: Any) -> Any:
        """The JSON that a request with a body is answered with."""
        return self._value("POST", path, status, **options)

    def _value(self, method: str, path: str, status: int, **options: Any) -> Any:
        answer = self.ask(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    @property
    def takes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/takes")["takes"]
        return found

    def open(self, content: bytes, name: str = "song.mid") -> Any:
        """A new take of a file."""
        return self.post(f"/api/takes?name={name}", 201, data=content)

    def begin(self, action: str, **asked: Any) -> str:
        """The id of a drawing that is asked for."""
        key: str = self.post("/api/drawings", 202, json={"action": action, **asked})["id"]
        return key

    def events(self, drawing: str) -> Iterator[tuple[str, Any]]:
        """The events of a drawing, each as its name and what it says."""
        answer = self.ask("GET", f"/api/drawings/{drawing}/events", stream=True)
        assert answer.status_code == 200, answer.text
        with answer:
            name = ""
            for line in answer.iter_lines(decode_unicode=True):
                kind, _, value = line.partition(": ")
                if kind == "event":
                    name = value
                elif kind == "data":
                    yield name, json.loads(value)

    def draw(self, action: str, **asked: Any) -> list[dict[str, Any]]:
        """The takes that are drawn; the drawing must end well."""
        events = list(self.events(self.begin(action, **asked)))
        assert events[-1] == ("done", {}), events[-1]
        return [data for name, data in events if name == "take"]


class Served(Client):
    """A server in a thread of its own, and its client."""

    def __init__(self, run: Path, folder: Path) -> None:
        self.studio = Studio(RunFolder(run), Takes(folder), device="cpu")
        listening = listening_socket(HOST, 0)
        self.port: int = listening.getsockname()[1]
        super().__init__(f"http://{HOST}:{self.port}", self.studio.takes.token())
        is_ready = threading.Event()
        self._server = Server(self.studio, listening, HOST, self.token, is_ready.set)
        self._thread = threading.Thread(target=self._server.serve_until_it_ends)
        self._thread.start()
        assert is_ready.wait(SECONDS)

    def close(self) -> None:
        """End the server as Ctrl-C does."""
        self._server.should_exit = True
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self.studio.takes.close()

    def connect(self) -> socket.socket:
        """A connection to the server, to send anything."""
        return socket.create_connection((HOST, self.port), timeout=SECONDS)
