"""The server as a process: its address, a kill at any moment, and the next start."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from served import SECONDS, Client, Served

from lnfgen.errors import LnfgenError
from lnfgen.formats.midi import midi_bytes
from lnfgen.formats.read_write import read
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.serving.server import listening_socket
from lnfgen.serving.song_files import read_song

TUNE = PianoRoll.from_notes(
    [(2 * place, 2, 60 + place) for place in range(16)], steps_per_quarter=2
)


class Process(Client):
    """`lnfgen serve` in a process of its own."""

    def __init__(self, run: Path, folder: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "lnfgen", "serve", "--run", run, "--out", folder]
        command += ["--no-browser", "--port", str(port), "--device", "cpu"]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        address, _, token = self.process.stdout.readline().strip().partition("/?token=")
        super().__init__(address, token)

    def end(self, by: signal.Signals) -> tuple[int, str]:
        """Its exit code, and what it wrote on stderr."""
        self.process.send_signal(by)
        _, error = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, error


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.slow
def test_a_killed_server_loses_no_take_and_leaves_none_half(
    processes: list[Process], toy_run: Path, tmp_path: Path
) -> None:
    """Three times, at some moment in the drawing of many takes."""
    folder = tmp_path / "takes"
    rng = random.Random(0)
    said: set[str] = set()
    address = token = ""
    for number in range(3):
        port = int(address.rpartition(":")[2] or 0)
        server = Process(toy_run, folder, port)
        processes.append(server)
        if number:  # an open page finds the server again
            assert (server.address, server.token) == (address, token)
        address, token = server.address, server.token
        take = server.open(midi_bytes(TUNE))
        assert said <= {one["id"] for one in server.takes}
        said.add(take["id"])
        key = server.begin("vary", take=take["id"], count=32, particles=1)
        enough = rng.randint(1, 12)
        try:
            for name, data in server.events(key):
                if name == "take":
                    said.add(data["id"])
                    server.ask("PATCH", f"/api/takes/{data['id']}", json={"starred": True})
                    enough -= 1
                if enough == 0:
                    server.process.send_signal(signal.SIGKILL)
        except requests.RequestException:
            pass
        server.process.wait(SECONDS)
    last = Process(toy_run, folder)
    processes.append(last)
    found = {one["id"] for one in last.takes}
    assert said <= found
    for key in found:
        song, _ = read_song(folder / key, ["drawn", "new"])
        (saved,) = read(folder / key / "take.mid", steps_per_quarter=2)
        assert not isinstance(saved, str)
        assert saved.roll.num_notes > 0
        assert song.roll.notes() == saved.roll.merged.notes()
    assert last.get("/api/session")["problems"] == []


def test_ctrl_c_ends_it_with_the_documented_code(
    processes: list[Process], toy_run: Path, tmp_path: Path
) -> None:
    server = Process(toy_run, tmp_path / "takes")
    processes.append(server)
    key = server.get("/api/session")["drawing"]
    events = server.ask("GET", f"/api/drawings/{key}/events", stream=True)
    code, error = server.end(signal.SIGINT)
    events.close()
    assert code == 130
    assert "Traceback" not in error
    assert error.splitlines()[-1] == "interrupted"
    assert str(tmp_path / "takes") in error


def test_a_script_with_curl_as_in_the_chapter(served: Served, tmp_path: Path) -> None:
    """The lines of `examples/serve.md`, with this server's address and token."""
    chapter = Path(__file__).parents[2] / "examples" / "serve.md"
    script = chapter.read_text().partition("```sh\n# a script\n")[2].partition("```")[0]
    assert script.count("curl") >= 4
    (tmp_path / "song.mid").write_bytes(midi_bytes(TUNE))
    environment = os.environ | {"ADDRESS": served.address, "TOKEN": served.token}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    (song,) = read(tmp_path / "new.mid", steps_per_quarter=2)
    assert not isinstance(song, str)
    drawn = [take for take in served.takes if take["action"] == "fill"]
    assert len(drawn) == 1


def test_a_port_in_use_is_one_line() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LnfgenError, match=f"port {port}: .*; choose another --port"):
            listening_socket("127.0.0.1", port)


def test_the_usual_port_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        monkeypatch.setattr("lnfgen.serving.server.PORT", taken.getsockname()[1])
        with listening_socket("127.0.0.1", None) as other:
            assert other.getsockname()[1] != taken.getsockname()[1]


@pytest.mark.parametrize("host", ["no such host", "203.0.113.9"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(LnfgenError, match=r"^[^\n]+$"):
        listening_socket(host, 0)
