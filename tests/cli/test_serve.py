"""`lnfgen serve` as a person starts it; tests/serving has what it serves."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Call, fails

from lnfgen.cli import serve
from lnfgen.serving.server import Server

pytestmark = pytest.mark.usefixtures("few_home_samples")


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened in a browser. Each server ends as soon as it is ready."""
    addresses: list[str] = []

    def note(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", note)
    startup = Server.startup

    async def start_and_end(self: Server, sockets: object = None) -> None:
        await startup(self, sockets)  # type: ignore[arg-type]
        self.should_exit = True

    monkeypatch.setattr(Server, "startup", start_and_end)
    return addresses


def until(ready: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_prints_its_address_and_opens_the_page(
    toy_home: Path, call: Call, opened: list[str]
) -> None:
    done = call("serve", "melody.mid", "--run", "run-rolls", "--out", "takes", "--port", "0")
    assert done.returncode == 0, done.stderr
    (address,) = done.stdout.decode().split()
    assert address.startswith("http://127.0.0.1:")
    assert address.endswith((toy_home / "takes" / "token").read_text())
    until(lambda: opened == [address])
    assert "takes are in takes" in done.stderr.decode()
    assert (toy_home / "takes" / "0001" / "own.mid").read_bytes() == (
        toy_home / "melody.mid"
    ).read_bytes()


def test_a_folder_of_takes_goes_on_and_no_browser_is_opened(
    toy_home: Path, call: Call, opened: list[str]
) -> None:
    asked = ["serve", "melody.mid", "--run", "run-rolls", "--out", "more", "--port", "0"]
    asked.append("--no-browser")
    first = call(*asked)
    second = call(*asked)
    token = first.stdout.decode().partition("token=")[2]
    assert second.stdout.decode().endswith(token)
    assert opened == []
    takes = [path.name for path in (toy_home / "more").iterdir() if path.name.isdecimal()]
    assert takes == ["0001"]


def test_what_cannot_be_served_is_refused_in_one_line(toy_home: Path, call: Call) -> None:
    few = ["--no-browser", "--port", "0", "--out", "none"]
    fails(call("serve", "--run", "run-lines", *few), "run-lines makes text")
    fails(call("serve", "gone.mid", "--run", "run-rolls", *few), "gone.mid is not there")
    fails(call("serve", "song.txt", "--run", "run-rolls", *few), "song.txt has the suffix '.txt'")
    fails(call("serve", "--run", "gone", *few), "gone does not exist")
    here = ["--no-browser", "--port", "0", "--out", "rolls"]
    fails(call("serve", "--run", "run-rolls", *here), "rolls holds other things than takes")
    assert not (toy_home / "none" / "0001").exists()


def test_without_a_browser_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    serve._open("http://127.0.0.1:1")
    assert capsys.readouterr().err == "found no browser to open; open the address by hand\n"


def test_who_lets_others_in_is_warned(call: Call) -> None:
    few = ["--run", "run-rolls", "--out", "shared", "--port", "0", "--no-browser"]
    assert "others may reach 0.0.0.0" in call("serve", "--host", "0.0.0.0", *few).stderr.decode()
    assert "others" not in call("serve", "--host", "localhost", *few).stderr.decode()
