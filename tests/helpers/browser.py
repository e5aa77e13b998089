"""A headless Chromium, which tests drive over a pipe by its DevTools protocol, without a package.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (the option `--remote-debugging-pipe`:
JSON messages that end with a zero byte, read from file descriptor 3 and written to file descriptor
4).
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60
KEYS = {
    " ": 32,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "Delete": 46,
    "End": 35,
    "Enter": 13,
    "Escape": 27,
    "F2": 113,
    "Home": 36,
    "Tab": 9,
}
CONTROL = 2
SHIFT = 8


def find_browser() -> str:
    """The path of a Chromium; the test skips where there is none.

    `$LNFGEN_TEST_BROWSER` may name one.
    """
    for found in (os.environ.get("LNFGEN_TEST_BROWSER"), *map(shutil.which, NAMES)):
        if found:
            return found
    pytest.skip(
        "needs Chromium on a POSIX system; install it, or set LNFGEN_TEST_BROWSER to its path"
    )


class Browser:
    """One page in a browser of its own.

    Attributes:
        errors: what the page wrote to the console as an error or a warning, and its uncaught
            exceptions.
        requests: the addresses of the network that the page asked for.
    """

    def __init__(self, folder: Path) -> None:
        program = find_browser()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._buffer = b""
        self._number = 0
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'profile'}",
            "about:blank",
        ]
        shell = (
            'read_end=$1; write_end=$2; shift 2; eval "exec \\"\\$@\\" 3<&$read_end 4>&$write_end"'
        )
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(to_browser), str(from_browser), *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._session = ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Page", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, which may be a promise."""
        done = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=False,
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression once it is true."""
        return self.until(lambda: self.evaluate(expression), expression)

    def until(self, ready: Callable[[], Any], what: str) -> Any:
        """What `ready` returns once that is true. `what` names it if it takes too long."""
        end = time.monotonic() + SECONDS
        while not (found := ready()):
            assert time.monotonic() < end, f"not in {SECONDS} seconds: {what}"
            time.sleep(0.05)
        return found

    def open(self, place: Path | str) -> None:
        """Open a file or an address, and return once its page is complete."""
        address = place if isinstance(place, str) else place.as_uri()
        self.call("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(address)}")

    def press(self, key: str, *, shift: bool = False, control: bool = False) -> None:
        """Press and release one of `KEYS`, or a key that writes a letter."""
        details: dict[str, Any] = {"key": key, "code": key}
        if key in KEYS:
            details["windowsVirtualKeyCode"] = KEYS[key]
        if key == " ":
            details["code"] = "Space"
        details["modifiers"] = SHIFT * shift + CONTROL * control
        letters = {}
        if len(key) == 1 and not control:
            letters["text"] = key
        if key == "Enter":
            letters["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **details, **letters)
        self.call("Input.dispatchKeyEvent", type="keyUp", **details)

    def write(self, text: str) -> None:
        """Type a text, key by key, into what has the focus."""
        for letter in text:
            self.press(letter)

    def click(self, selector: str, *, across: float = 0.5, down: float = 0.5) -> None:
        """Click in an element, at these shares of its width and height."""
        place = self._place_in(selector, across, down)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, place)

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag over an element, from one place to another, in shares of its width and height."""
        places = [self._place_in(selector, *place) for place in (start, end)]
        self.mouse("mousePressed", places[0])
        for step in range(1, 5):
            share = step / 4
            between = {name: places[0][name] * (1 - share) for name in "xy"}
            for name in "xy":
                between[name] += places[1][name] * share
            self.mouse("mouseMoved", between)
        self.mouse("mouseReleased", places[1])

    def mouse(self, kind: str, place: dict[str, float], pointer: str = "mouse") -> None:
        """Send an event of the mouse, or a pen, at a place of the window, with its button down."""
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            button="left",
            buttons=1,
            clickCount=1,
            pointerType=pointer,
            **place,
        )

    def drop(self, selector: str, files: Sequence[Path]) -> None:
        """Drop files on an element, as from another program."""
        place = self._place_in(selector, 0.5, 0.5)
        data = {
            "items": [],
            "files": [str(file) for file in files],
            "dragOperationsMask": 1,
        }
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, data=data, **place)

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Show the page in a window of a size in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def _place_in(self, selector: str, across: float, down: float) -> dict[str, float]:
        """Where a part of an element is on the screen, once it is scrolled there."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{found}.scrollIntoView({{block: 'center'}})")
        edges = self.evaluate(f"{found}.getBoundingClientRect().toJSON()")
        return {
            "x": edges["x"] + across * edges["width"],
            "y": edges["y"] + down * edges["height"],
        }

    def close(self) -> None:
        os.close(self._write)  # the browser ends when its pipe does
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], SECONDS)
            content = os.read(self._read, 1 << 20) if ready else b""
            assert content, f"the browser says nothing; its exit code is {self._process.poll()}"
            self._buffer += content
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        self._note(answer.get("method", ""), answer.get("params", {}))
        return answer

    def _note(self, method: str, details: dict[str, Any]) -> None:
        """Keep the errors and the requests that an event of the protocol reports."""
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(details["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            if details["type"] in ("error", "warning"):
                self.errors.append(json.dumps(details["args"]))
        elif method == "Network.requestWillBeSent":
            address = details["request"]["url"]
            if address.startswith("http"):
                self.requests.append(address)
        elif method == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
            self.errors.append(details["entry"]["text"])
