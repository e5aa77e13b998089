"""The page of `lnfgen serve` in a headless Chromium, by mouse and by keys."""

import json
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import requests
from browser import Browser
from served import Client, Served
from sound_tap import TAP

import lnfgen
from lnfgen import PianoRoll

pytestmark = [pytest.mark.slow, pytest.mark.browser]

BARS = 8
LONG = 96  # bars that no window shows at once
BEAT = 0.5  # seconds, at 120 quarters a minute
CHORDS = ((48, 55, 64, 72), (53, 57, 60, 69), (55, 59, 62, 67), (48, 52, 60, 67))
NASTY = "<img src=x onerror=alert(1)> & so"


def a_song(bars: int = BARS) -> PianoRoll:
    """Four voices that move on each beat."""
    notes = []
    for beat in range(4 * bars):
        notes += [(4 * beat, 4, pitch) for pitch in CHORDS[beat % 4]]
    return PianoRoll.from_notes(notes, tempo_bpm=120)


class Page:
    """The page of a server of its own, in a browser that tests share."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser = browser
        self.folder = folder
        lnfgen.write(folder / "song.mid", a_song())
        self.port = "0"
        self.start_server(str(folder / "song.mid"))
        self.browser.errors.clear()
        self.browser.requests.clear()
        self.browser.open(self.address)
        self.browser.wait("document.querySelector('#takes .current') !== null")

    def start_server(self, *song: str) -> None:
        command = [sys.executable, "-m", "lnfgen", "serve", *song, "--run", "chorales", "--quiet"]
        where = ["--out", str(self.folder / "takes"), "--port", self.port]
        self.server = subprocess.Popen(
            [*command, *where, "--no-browser"], stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout is not None
        self.address = self.server.stdout.readline().strip()
        parts = urlsplit(self.address)
        self.port = str(parts.port)
        self.client = Client(f"http://{parts.netloc}", parse_qs(parts.query)["token"][0])

    def kill_server(self) -> None:
        self.server.kill()
        self.server.communicate()

    def text(self, selector: str) -> str:
        found: str = self.browser.evaluate(
            f"document.querySelector({json.dumps(selector)}).innerText"
        )
        return found

    @property
    def names(self) -> list[str]:
        """The names of the takes in the list."""
        found: list[str] = self.browser.evaluate(
            "[...document.querySelectorAll('.take-name')].map((name) => name.innerText)"
        )
        return found

    def wait_for_takes(self, count: int) -> None:
        rows = "document.querySelectorAll('#takes li').length"
        self.browser.wait(f"{rows} === {count} && !document.querySelector('#actions[aria-busy]')")

    def wait_for(self, selector: str, text: str) -> None:
        self.browser.until(lambda: self.text(selector) == text, f"{selector}: {text}")

    def set(self, field: str, value: float) -> None:
        """Move a control to a value."""
        found = f"document.querySelector({json.dumps(field)})"
        self.browser.evaluate(
            f"{found}.value = {value}, {found}.dispatchEvent(new Event('input', {{bubbles: true}}))"
        )

    def edges(self, selector: str) -> dict[str, float]:
        """Where an element is in the window, in pixels."""
        found: dict[str, float] = self.browser.evaluate(
            f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        )
        return found

    def require_stands(self) -> None:
        """See that the page does not scroll in the next frames."""
        scrolled = (
            "new Promise((done) => { const first = scrollY; let left = 12; const next = () => "
            "left-- ? requestAnimationFrame(next) : done(scrollY - first); next() })"
        )
        assert self.browser.evaluate(scrolled) == 0

    def draw_two_bars(self) -> None:
        """Bars 3 and 4, two takes, all by keys. Nothing plays."""
        if self.browser.evaluate("document.querySelector('#play-drawn').checked"):
            self.browser.evaluate("document.querySelector('#play-drawn').click()")
        self.set("#count", 2)
        for key in (("Home", False), *[("ArrowRight", True)] * 2):
            self.browser.press(key[0], shift=key[1])
        self.browser.press("[")
        self.browser.press("ArrowRight", shift=True)
        self.browser.press("]")
        assert self.text("#marks") == "Bars 3–4"
        self.browser.press("r")
        self.wait_for_takes(3)
        self.wait_for("#title", self.names[0])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=TAP)
    browser.resize(1280, 800)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page that must have nothing to complain about in the end, and asks its server alone."""
    page = Page(browser, tmp_path)
    yield page
    assert browser.errors == []
    assert {urlsplit(address).port for address in browser.requests} == {int(page.port)}
    browser.open("about:blank")
    page.kill_server()


def starts(browser: Browser) -> np.ndarray:
    """The times at which notes begin, each once, in beats since the first one."""
    times = np.unique(np.round(browser.evaluate("tap.starts"), 6))
    return (times - times[0]) / BEAT


def test_bars_are_marked_by_a_drag_drawn_again_and_heard(page: Page) -> None:
    browser = page.browser
    assert page.text("#title") == "song"
    assert browser.evaluate("document.querySelectorAll('.roll svg').length") == 1
    browser.click("#roll", across=0.6)
    assert page.text("#marks") == "Nothing marked", "a click alone marks nothing"
    page.set("#count", 2)
    browser.drag("#roll", (0.3, 0.5), (0.5, 0.6))
    assert page.text("#marks") == "Bars 3–4"
    browser.click("[data-action=fill]")
    page.wait_for_takes(3)
    # What was drawn is coloured, in the marked bars alone.
    first, *_ = page.names
    take = next(take for take in page.client.takes if take["name"] == first)
    piece = page.client.get(f"/api/takes/{take['id']}")["piece"]
    numbers = np.array(piece["notes"][0]).reshape(-1, 3)
    is_drawn = np.ones(len(numbers), np.bool_)
    is_drawn[piece["given"][0]] = False
    bars = numbers[:, 0] // (4 * piece["grid"])
    assert {*bars[is_drawn]} <= {2, 3}
    drawn = browser.evaluate(
        "document.querySelector('.notes:not(.given)').getAttribute('d').split('M').length - 1"
    )
    assert drawn == is_drawn.sum() > 0
    # It plays by itself, from the marked bars on.
    browser.wait("document.querySelector('#roll').ariaValueText === 'bar 4, beat 1'")
    assert 0.01 < browser.evaluate("tap.loudest") < 1
    assert page.text("#clock") in ("0:06", "0:07")
    heard = starts(browser)
    begins = numbers[:, 0] / piece["grid"]
    ends = begins + numbers[:, 1] / piece["grid"]
    expected = np.unique(
        np.maximum(begins[ends > 8], 8)
    )  # a note that is held into bar 3 is struck
    assert heard == pytest.approx(expected[: len(heard)] - expected[0], abs=1e-4)
    browser.press(" ")
    stands = page.text("#clock")
    time.sleep(0.6)
    assert page.text("#clock") == stands


@pytest.fixture
def long_page(page: Page) -> Page:
    """A page with a song that is longer than the window."""
    lnfgen.write(page.folder / "long.mid", a_song(LONG))
    page.browser.drop("#roll", [page.folder / "long.mid"])
    page.wait_for("#title", "long")
    page.browser.evaluate("scrollTo(0, 0)")
    assert page.edges("#roll")["bottom"] > 2 * page.edges(".dock")["top"]
    return page


@pytest.mark.parametrize("pointer", ["mouse", "pen"])
@pytest.mark.parametrize("selector", [".roll .sheet", ".roll .ruler"])
def test_a_drag_that_is_held_at_an_edge_marks_what_comes_into_view(
    long_page: Page, selector: str, pointer: str
) -> None:
    page = long_page
    browser = page.browser

    def point(kind: str, x: float, y: float) -> None:
        browser.mouse(kind, {"x": x, "y": y}, pointer)

    begun = page.edges(selector)
    x = begun["x"] + 0.3 * begun["width"]
    y = begun["y"] + 0.5 * begun["height"]
    middle = page.edges(".dock")["top"] / 2
    lower = page.edges(".dock")["top"] - 6
    point("mousePressed", x, y)
    point("mouseMoved", x, y + 10)
    first = page.text("#marks").removeprefix("Bar ")
    assert 1 < int(first) < 20
    point("mouseMoved", x, lower)
    browser.wait("scrollY > 300")
    point("mouseMoved", x, middle)
    page.require_stands()
    seen = page.text("#marks").removeprefix(f"Bars {first}–")
    assert int(first) < int(seen) < LONG
    # Over what is below the roll, it goes on to the end of the song, and no further.
    point("mouseMoved", x, lower + 50)
    browser.until(lambda: page.edges("#roll")["bottom"] <= lower, "the end of the song")
    page.require_stands()
    right = page.edges(".roll svg:last-child")["right"] - 1
    point("mouseMoved", right, lower + 50)
    assert page.text("#marks") == f"Bars {first}–{LONG}"
    # Back to the start.
    point("mouseMoved", 1, 2)
    browser.until(lambda: page.text("#marks") == f"Bars 1–{first}", "the first bar")
    point("mouseReleased", 1, 2)
    page.require_stands()
    assert page.text("#marks") == f"Bars 1–{first}"


def test_the_page_stands_once_the_button_is_up_and_where_a_drag_stays_at_its_edge(
    long_page: Page,
) -> None:
    page = long_page
    browser = page.browser
    lower = page.edges(".dock")["top"] - 6
    sheet = page.edges(".roll svg")
    across = [sheet["x"] + share * sheet["width"] for share in (0.3, 0.6)]
    browser.mouse("mousePressed", {"x": across[0], "y": lower})
    browser.mouse("mouseMoved", {"x": across[1], "y": lower})
    assert page.text("#marks").startswith("Bars ")
    page.require_stands()
    browser.mouse("mouseReleased", {"x": across[1], "y": lower})
    browser.mouse("mousePressed", {"x": across[0], "y": lower - 200})
    browser.mouse("mouseMoved", {"x": across[0], "y": lower})
    browser.wait("scrollY > 100")
    browser.mouse("mouseReleased", {"x": across[0], "y": lower})
    page.require_stands()
    assert page.edges("#roll")["bottom"] > lower


def test_all_of_it_works_by_keys(page: Page) -> None:
    browser = page.browser
    browser.press("r")
    assert page.text("#notice").startswith("Nothing is marked")
    page.draw_two_bars()
    assert "Nothing is marked" not in page.text("#notice"), "a drawing takes a message away"
    drawn, again, _ = page.names
    assert page.text("#title") == drawn
    browser.press("2")
    page.wait_for("#title", again)
    slots = "['A', 'B'].map((slot) => document.getElementById(`slot-${slot}`).title)"
    assert browser.evaluate(slots) == ["song", again]
    browser.press("3")
    page.wait_for("#title", "song")
    assert browser.evaluate(slots) == ["song", again], "a take keeps its place"
    browser.press("z", control=True)
    page.wait_for("#title", again)
    browser.press("z", control=True)
    page.wait_for("#title", drawn)
    browser.press("z", control=True)
    page.wait_for("#title", "song")
    browser.press("z", control=True, shift=True)
    page.wait_for("#title", drawn)
    browser.press("m")
    assert page.text("#marks") == "Nothing marked"
    browser.press("s")
    browser.wait("document.querySelector('#star').ariaPressed === 'true'")
    browser.press("F2")
    browser.press("a", control=True)
    browser.write("As I like it [r]")
    browser.press("Enter")
    page.wait_for("#title", "As I like it [r]")
    browser.press("Delete")
    page.wait_for_takes(2)
    browser.press("z", control=True)
    page.wait_for_takes(3)
    assert {(take["name"], take["starred"]) for take in page.client.takes} >= {
        ("As I like it [r]", True)
    }
    browser.press("g")
    page.wait_for_takes(5)
    assert page.client.takes[-1]["bars"] > BARS


def test_two_takes_are_compared_without_a_gap(page: Page) -> None:
    browser = page.browser
    page.draw_two_bars()
    drawn = page.text("#title")
    browser.press("Home")
    browser.press(" ")
    for key, title in (("a", "song"), ("b", drawn), ("a", "song")):
        time.sleep(0.7)
        browser.press(key)
        page.wait_for("#title", title)
        assert browser.evaluate("document.querySelector('#play').classList.contains('playing')")
    browser.wait("document.querySelector('#roll').ariaValueText.startsWith('bar 2')")
    browser.press(" ")
    # In the first bars both have the same notes. They begin when they would without a change, and
    # none that sounds is struck again.
    heard = starts(browser)
    assert len(heard) > 4
    assert heard == pytest.approx(np.arange(len(heard)), abs=1e-4)


def test_a_loop_goes_round_the_marked_bars(page: Page) -> None:
    browser = page.browser
    browser.press("ArrowRight", shift=True)
    for key in ("m", "Home", "l", " "):
        browser.press(key)
    browser.until(lambda: len(starts(browser)) > 9, "the third time through a bar")
    assert page.text("#marks") == "Bar 2"
    assert browser.evaluate("document.querySelector('#roll').ariaValueText").startswith("bar 2")
    heard = starts(browser)
    assert heard == pytest.approx(np.arange(len(heard)), abs=1e-4)
    browser.press("Escape")


def test_a_file_is_dropped_and_its_name_is_text(page: Page, tmp_path: Path) -> None:
    path = tmp_path / f"{NASTY}.mid"
    path.write_bytes((tmp_path / "song.mid").read_bytes())
    page.browser.drop("#roll", [path])
    page.wait_for("#title", NASTY)
    page.wait_for_takes(2)
    assert page.browser.evaluate("document.querySelectorAll('img').length") == 0
    assert NASTY in page.names
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"MThd no music")
    page.browser.drop("#roll", [broken])
    page.browser.wait("document.querySelector('#notice.error') !== null")
    page.browser.errors[:] = [text for text in page.browser.errors if "400" not in text]


def saved(page: Page) -> Path:
    """The folder in which the page saves the take that it shows, in all formats."""
    folder = page.folder / "saved"
    folder.mkdir()
    page.browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    for place, suffix in enumerate(("mid", "musicxml", "wav"), start=1):
        page.browser.click(f"#save > :nth-child({place})")
        page.browser.until((folder / f"song.{suffix}").exists, suffix)
    return folder


def dragged(page: Page, selector: str) -> tuple[str, str, bytes]:
    """What a drag of an element out of the page carries: a type, a name, and a file's content.

    A browser that knows it writes that file where it is dropped.
    """
    carried = page.browser.evaluate(
        "(() => { const dataTransfer = new DataTransfer();"
        "const event = new DragEvent('dragstart', { dataTransfer, bubbles: true });"
        f"document.querySelector({json.dumps(selector)}).dispatchEvent(event);"
        "return dataTransfer.getData('DownloadURL') })()"
    )
    media_type, name, address = carried.split(":", 2)
    answer = requests.get(address, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    return media_type, name, answer.content


def test_a_take_is_saved_or_dragged_out_of_the_page(synthesiser: Path, page: Page) -> None:
    folder = saved(page)
    assert (folder / "song.mid").read_bytes() == (page.folder / "song.mid").read_bytes()
    assert (folder / "song.wav").read_bytes() == (synthesiser / "sound.wav").read_bytes()
    types = ("audio/midi", "application/vnd.recordare.musicxml+xml", "audio/wav")
    for place, media_type in enumerate(types, start=1):
        found, name, content = dragged(page, f"#save > :nth-child({place})")
        assert found == media_type
        assert content == (folder / name).read_bytes()
    found, name, content = dragged(page, "#takes li")
    assert (found, name) == ("audio/midi", "song.mid")
    assert content == (folder / name).read_bytes()


@pytest.mark.usefixtures("no_synthesiser")
def test_the_page_renders_a_wav_where_the_server_has_no_synthesiser(page: Page) -> None:
    folder = saved(page)
    with wave.open(str(folder / "song.wav")) as file:
        seconds = file.getnframes() / file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert seconds >= 4 * BARS * BEAT
    assert np.abs(samples).max() > 1000
    assert page.browser.evaluate("document.querySelectorAll('#save [draggable]').length") == 2


def test_a_reload_shows_the_same(page: Page) -> None:
    browser = page.browser
    page.draw_two_bars()
    browser.press("2")
    page.wait_for("#title", page.names[1])
    page.set("#temperature", 0.8)
    state = "[title, marks, clock].map((part) => part.innerText)"
    before = (browser.evaluate(state), page.names)
    browser.call("Page.reload")
    browser.wait("document.querySelector('#takes .current') !== null")
    assert (browser.evaluate(state), page.names) == before
    assert browser.evaluate("temperature.value") == "0.8"
    assert before[0][1] == "Bars 3–4"
    browser.press("z", control=True)
    page.wait_for("#title", page.names[0])


def test_it_goes_on_when_the_server_is_back(page: Page) -> None:
    page.draw_two_bars()
    names = page.names
    page.kill_server()
    page.browser.until(lambda: "does not answer" in page.text("#gone"), "the server is gone")
    page.browser.press("Home")
    page.browser.press(" ")  # what is here plays on
    page.browser.wait("document.querySelector('#clock').innerText === '0:01'")
    page.start_server()
    page.wait_for("#gone", "")
    assert page.names == names
    page.browser.press("r")
    page.wait_for_takes(5)
    # What a browser writes about a server that it cannot reach is no fault of the page.
    refused = "ERR_CONNECTION_REFUSED"
    page.browser.errors[:] = [text for text in page.browser.errors if refused not in text]


def test_wishes_and_chords_are_asked_for(page: Page) -> None:
    browser = page.browser
    page.set("#count", 1)
    browser.press("m")
    browser.press("c")
    browser.write("Am F")
    assert browser.evaluate("chords.value") == "Am F |"
    browser.press("Escape")
    browser.press("w")
    browser.evaluate(
        "document.querySelector('#add-wish').value = 'notes_per_bar',"
        "document.querySelector('#add-wish').dispatchEvent(new Event('change'))"
    )
    assert browser.evaluate("document.activeElement.ariaLabel") == "notes per bar, at least"
    assert page.text(".wish .shown") == "any"
    for _ in range(3):
        browser.press("ArrowRight")
    assert page.text(".wish .shown").endswith(" or more")
    assert page.text("#asked") == ": 1 wish, chords"
    # Such a drawing may take long, so what is asked for is kept, and nothing is drawn.
    browser.evaluate(
        "((ask) => { window.fetch = async (path, options) => {"
        "if (path !== '/api/drawings') return ask(path, options);"
        "window.asked = options.body;"
        "return Response.json({ error: 'no' }, { status: 400 }) } })(fetch)"
    )
    browser.click("[data-action=fill]")
    page.browser.wait("document.querySelector('#notice.error') !== null")
    request = json.loads(browser.evaluate("window.asked"))
    assert (request["action"], request["chords"]) == ("fill", "Am F |")
    low, high = request["want"]["notes_per_bar"]
    assert low > 0
    assert high is None
    assert (request["first_bar"], request["last_bar"]) == (1, 1)


def test_a_long_drawing_is_stopped(page: Page) -> None:
    browser = page.browser
    page.set("#count", 16)
    page.set("#amount", 1)
    browser.press("v")
    browser.wait("!document.querySelector('#progress').hidden")
    browser.press("Escape")
    browser.wait("document.querySelector('#progress').hidden")
    page.browser.until(lambda: not page.client.get("/api/drawings")["drawings"], "no drawing")
    assert len(page.client.takes) < 17


def test_every_control_is_named_and_reached_by_tab(page: Page) -> None:
    browser = page.browser
    page.draw_two_bars()
    browser.press("w")
    browser.evaluate("document.activeElement.blur()")
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(({ id }) => id)")
    assert len(ids) == len(set(ids))
    controls = {"button", "slider", "textbox", "checkbox", "link", "combobox", "spinbutton"}
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named: list[str] = []
    for node in nodes:
        if not node["ignored"] and node["role"]["value"] in controls:
            assert node["name"]["value"], node
            named.append(node["name"]["value"])
    assert len(named) > 30
    shown = (
        "[...document.querySelectorAll('a[href], button, input, select, summary, #roll')]"
        ".filter((control) => control.checkVisibility() && !control.disabled).length"
    )
    reached = set()
    for _ in range(browser.evaluate(shown) + 1):
        browser.press("Tab")
        if browser.evaluate("document.activeElement === document.body"):
            continue  # from the last control to the first one
        assert browser.evaluate("document.activeElement.matches(':focus-visible')")
        index = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
        reached.add(browser.evaluate(index))
    assert len(reached) == browser.evaluate(shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(page: Page, scheme: str) -> None:
    browser = page.browser
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    browser.resize(390, 780, mobile=True)
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        for _ in range(2):
            browser.wait("document.documentElement.scrollWidth === 390")
            browser.press("w")
        # The line of bar numbers marks on a touch screen, on which a drag over the notes scrolls.
        edges = browser.evaluate(
            "document.querySelector('.ruler').getBoundingClientRect().toJSON()"
        )
        place = {"x": edges["x"] + edges["width"] * 0.4, "y": edges["y"] + 8}
        browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[place])
        browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        browser.until(lambda: page.text("#marks").startswith("Bar "), "a marked bar")
    finally:
        browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
        browser.call("Emulation.setEmulatedMedia", features=[])
        browser.resize(1280, 800)


def test_the_name_of_a_part_marks_it(
    browser: Browser, serve: Callable[..., Served], band_run: Path
) -> None:
    served = serve(band_run)
    events: list[tuple[str, Any]] = list(served.events("d1"))
    assert events[-1][0] == "done"
    browser.errors.clear()
    browser.open(f"{served.address}/?token={served.token}")
    browser.wait("document.querySelector('#takes .current') !== null")
    browser.click(".part-name[data-role=bass]")
    browser.press("m")
    assert browser.evaluate("marks.innerText") == "Bar 1 of bass"
    browser.click(".drums .mute")
    assert browser.evaluate("take.className") == "without-drums"
    browser.press("r")
    browser.wait("document.querySelectorAll('#takes li').length === 2")
    take = served.takes[-1]
    assert take["settings"]["parts"] == ["bass"]
    assert browser.evaluate("take.className") == "without-drums", "in each take"
    piece = served.get(f"/api/takes/{take['id']}")["piece"]
    for part, numbers, given in zip(piece["parts"], piece["notes"], piece["given"], strict=True):
        is_kept = len(given) == len(numbers) // 3
        assert is_kept or part["role"] == "bass"
    assert browser.errors == []
    browser.open("about:blank")
