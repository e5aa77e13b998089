"""The page of pieces in a headless Chromium: it plays, and works from the keyboard."""

import io
import itertools
import time
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from sound_tap import TAP

import lnfgen
from lnfgen import PianoRoll
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import parse_chord
from lnfgen.music.parts import ROLES, Part
from lnfgen.music.song import Origin, Song

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CHORDS = PianoRoll.from_notes(
    [(2 * step, 2, pitch) for step in range(8) for pitch in (48, 55, 64, 72)],
    steps_per_quarter=2,
    tempo_bpm=120,
)
BAND_NOTES = (
    [(step, 1, 42 if step % 4 else 36) for step in range(0, 16, 2)],
    [(0, 8, 40), (8, 8, 40)],
    [(0, 16, pitch) for pitch in (60, 64, 67)],
    [(4, 4, 76), (8, 8, 79)],
)
BAND = PianoRoll.of_parts(
    [PianoRoll.from_notes(notes, num_steps=16) for notes in BAND_NOTES],
    [Part(role) for role in ROLES],
)
KEYS = (36, 40, 60, 76)  # of a drum, a bass, a chord and a melody
TUNE = PianoRoll.from_notes(
    [(0, 1, 60), (1, 1, 62), (2, 1, 64)], steps_per_quarter=1, time_signature=(3, 4)
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=TAP)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """A page of two pieces, which must have nothing to complain about in the end."""
    lnfgen.write(tmp_path / "songs.html", [CHORDS, TUNE])
    browser.errors.clear()
    browser.open(tmp_path / "songs.html")
    yield browser
    assert browser.errors == []
    assert not browser.requests, "the page asks the network for something"


def clock(page: Browser) -> str:
    return str(page.evaluate("document.querySelector('#clock').textContent"))


def where(page: Browser, piece: int = 1) -> str:
    return str(
        page.evaluate(f"document.querySelector('article:nth-of-type({piece}) .roll').ariaValueText")
    )


def playing(page: Browser) -> list[bool]:
    buttons = "[...document.querySelectorAll('article .play')]"
    found: list[bool] = page.evaluate(
        f"{buttons}.map((button) => button.classList.contains('playing'))"
    )
    return found


def test_it_plays_to_its_end_and_is_heard(page: Browser) -> None:
    assert (clock(page), where(page), playing(page)) == ("0:00", "bar 1, beat 1", [False, False])
    page.press(" ")
    assert playing(page) == [True, False]
    page.wait("document.querySelector('#clock').textContent === '0:02'")
    assert where(page) == "bar 2, beat 1"
    assert 0.05 < page.evaluate("tap.loudest") < 1
    page.until(lambda: playing(page) == [False, False], "the end")
    assert (clock(page), where(page)) == ("0:00", "bar 1, beat 1")
    # Four notes a chord, a chord each half a second, exact on the audio clock. On a busy machine a
    # few may be late.
    starts = np.array(page.evaluate("tap.starts")).reshape(8, 4)
    assert np.median(np.ptp(starts, axis=1)) == 0
    assert np.median(np.diff(starts[:, 0])) == pytest.approx(0.5, abs=1e-9)


def test_it_is_played_from_the_keyboard(page: Browser) -> None:
    page.press("ArrowRight")
    assert where(page) == "bar 1, beat 2"
    page.press("ArrowRight", shift=True)
    assert where(page) == "bar 2, beat 1"
    page.press("ArrowLeft")
    assert where(page) == "bar 1, beat 4"
    page.press(" ")
    page.wait("document.querySelector('.roll').ariaValueText === 'bar 2, beat 2'")
    page.press(" ")
    assert playing(page) == [False, False]
    stands = clock(page), where(page)
    time.sleep(0.7)
    assert (clock(page), where(page)) == stands
    page.press("Home")
    assert where(page) == "bar 1, beat 1"
    # Tab reaches all in the order of the page, and shows where it is.
    reached = []
    for _ in range(8):
        page.press("Tab")
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        reached.append(page.evaluate("document.activeElement.ariaLabel"))
    expected = []
    for song in ("songs 1", "songs 2"):
        expected += [f"Play {song}", f"Save {song} as MIDI", f"Save {song} as WAV"]
        expected.append(f"Position in {song}")
    assert reached == expected
    page.press(" ")  # on the roll of the second piece
    assert playing(page) == [False, True]
    page.press("Escape")
    assert playing(page) == [False, False]


def test_an_upbeat_is_bar_0(browser: Browser, tmp_path: Path) -> None:
    waltz = PianoRoll.from_notes(
        [(0, 1, 60), (1, 3, 62), (4, 3, 64)], steps_per_quarter=1, time_signature=(3, 4)
    )
    lnfgen.write(tmp_path / "waltz.html", waltz.with_upbeat(1))
    browser.open(tmp_path / "waltz.html")
    assert where(browser) == "bar 0, beat 3"
    for place in ("bar 1, beat 1", "bar 2, beat 1"):
        browser.press("ArrowRight", shift=True)
        assert where(browser) == place
    browser.press("ArrowLeft")
    assert where(browser) == "bar 1, beat 3"
    browser.press("Home")
    assert where(browser) == "bar 0, beat 3"


def test_one_piece_plays_at_a_time_and_a_click_goes_there(page: Browser) -> None:
    page.click("article:nth-of-type(1) .play")
    page.until(lambda: playing(page) == [True, False], "piece 1")
    page.click("article:nth-of-type(2) .play")
    page.until(lambda: playing(page) == [False, True], "piece 2")
    page.click("article:nth-of-type(2) .play")
    assert playing(page) == [False, False]
    page.click("article:nth-of-type(1) .roll svg", across=0.8)
    assert where(page).startswith("bar 2")
    assert playing(page) == [False, False]
    page.click("article:nth-of-type(1) .play")
    page.click("article:nth-of-type(1) .roll svg", across=0.1)
    assert playing(page) == [True, False]
    assert where(page).startswith("bar 1")


def test_it_loops_and_the_tempo_can_change_on_the_way(page: Browser) -> None:
    page.click("article:nth-of-type(2) .play")
    page.click("#loop")
    page.until(lambda: len(page.evaluate("tap.starts")) >= 7, "the third time through")
    page.evaluate("tempo.value = 200, tempo.dispatchEvent(new Event('input'))")
    page.evaluate("tap.changed = tap.starts.length")
    page.until(lambda: page.evaluate("tap.starts.length - tap.changed") >= 5, "the faster notes")
    starts = np.array(page.evaluate("tap.starts"))
    changed = page.evaluate("tap.changed")
    # 120 quarters a minute
    assert np.median(np.diff(starts[:changed])) == pytest.approx(0.5, abs=1e-9)
    assert np.median(np.diff(starts[changed:])) == pytest.approx(0.25, abs=1e-9)
    assert "♩ = 240" in page.evaluate("document.querySelector('.transport').innerText")
    page.click("#loop")
    page.until(lambda: playing(page) == [False, False], "the end")


def wav_of(browser: Browser, roll: PianoRoll, folder: Path, *pressed: str) -> np.ndarray:
    """The samples [T, 2] of the file that the page saves after some buttons were pressed."""
    (folder / "n.wav").unlink(missing_ok=True)
    lnfgen.write(folder / "n.html", roll)
    browser.open(folder / "n.html")
    for button in pressed:
        browser.click(button)
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.click(".wav")
    browser.until((folder / "n.wav").exists, "the WAV file")
    with wave.open(io.BytesIO((folder / "n.wav").read_bytes())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768


RATE = 44100


def level(samples: np.ndarray, start: float, end: float) -> float:
    part = samples[round(start * RATE) : round(end * RATE)]
    return float(np.sqrt((part**2).mean()))


def test_a_chord_sounds_as_its_notes_and_dies_away(browser: Browser, tmp_path: Path) -> None:
    pitches = [48, 55, 64, 72]
    roll = PianoRoll.from_notes(
        [(4, 12, pitch) for pitch in pitches], steps_per_quarter=4, tempo_bpm=60
    )
    samples = wav_of(browser, roll, tmp_path)
    assert level(samples, 0, 0.99) < 1e-4
    levels = [level(samples, at, at + 0.2) for at in (1.0, 2.0, 3.0, 3.7, 4.5, 5.5)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.05
    # the dampers fell after four seconds, and the room is nearly silent
    assert levels[-1] < 0.01 * levels[0]
    # 1 Hz a bin
    spectrum = np.abs(np.fft.rfft(samples[RATE : 2 * RATE].mean(1) * np.hanning(RATE)))
    peaks = [round(440 * 2 ** ((pitch - 69) / 12)) for pitch in pitches]

    def near(hertz: int) -> float:
        return float(spectrum[hertz - 3 : hertz + 4].max())

    for hertz in peaks:
        semitone = round(hertz * 2 ** (1 / 12)) - hertz
        assert near(hertz) > 20 * max(near(hertz + semitone), near(hertz - semitone))
    partials = [near(round(n * 440 * 2 ** ((48 - 69) / 12))) for n in (1, 2)]
    assert partials[1] > 0.05 * partials[0], "a bare sine"


@pytest.mark.parametrize("voices", [8, 40])
def test_many_voices_do_not_clip(browser: Browser, tmp_path: Path, voices: int) -> None:
    notes = [(step, 2, 36 + pitch) for step in range(0, 8, 2) for pitch in range(voices)]
    samples = wav_of(browser, PianoRoll.from_notes(notes), tmp_path)
    assert np.abs(samples).max() < 0.98
    assert level(samples, 0, 1) > 0.05


def test_extreme_pieces_are_drawn_and_played(browser: Browser, tmp_path: Path) -> None:
    silence = np.zeros((1, 88), dtype=bool)
    odd = [
        PianoRoll.of_one(silence, tempo_bpm=4e7, steps_per_quarter=960, time_signature=(1, 128)),
        PianoRoll.of_one(silence, tempo_bpm=3.6, time_signature=(255, 1)),
        PianoRoll.from_notes(
            [(0, 4000, 0), (3999, 1, 127)], lowest_pitch=0, num_pitches=128, time_signature=(7, 8)
        ),
    ]
    lnfgen.write(tmp_path / "odd.html", odd)
    browser.errors.clear()
    browser.open(tmp_path / "odd.html")
    browser.click("#loop")
    for piece in (1, 2, 3):
        browser.click(f"article:nth-of-type({piece}) .play")
        time.sleep(0.3)
        browser.press("End")
    browser.press("Escape")
    assert browser.errors == []
    assert browser.evaluate("document.querySelectorAll('article:nth-of-type(3) svg').length") > 10


def test_given_notes_are_lighter_than_drawn_ones_on_paper_and_darker_in_the_dark(
    browser: Browser, tmp_path: Path
) -> None:
    drawn = np.zeros((TUNE.num_steps, 1, 128), np.bool_)
    drawn[1] = True
    lnfgen.write(tmp_path / "tune.html", Song(TUNE, drawn=drawn))
    count = "document.querySelector('svg {}').getAttribute('d').split('M').length - 1"
    colour = "getComputedStyle(document.body).getPropertyValue('--{}').slice(1)"
    for scheme, sign in (("light", 1), ("dark", -1)):
        browser.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        browser.open(tmp_path / "tune.html")
        kinds = (".given", ".notes:not(.given)")
        assert [browser.evaluate(count.format(kind)) for kind in kinds] == [2, 1]
        lightness = []
        for name in ("given", "low", "tenor", "alto", "high"):
            rgb = bytes.fromhex(browser.evaluate(colour.format(name)))
            lightness.append(np.array(list(rgb)) @ [0.2126, 0.7152, 0.0722])
        given, *others = lightness
        assert min(sign * (given - other) for other in others) > 60
        assert browser.evaluate("document.querySelector('.facts .drawn').offsetWidth") > 10
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_parts_are_muted_and_heard_alone_from_the_keyboard(
    browser: Browser, tmp_path: Path
) -> None:
    lnfgen.write(tmp_path / "band.html", BAND)
    browser.errors.clear()
    browser.open(tmp_path / "band.html")
    heard = "pieces[0].parts.filter((part) => part.heard).map((part) => part.role)"
    heard_after = {  # a press of these buttons, in this order
        "Mute bass of band": ["drums", "chords", "melody"],
        "Solo bass of band": ["bass"],
        "Solo melody of band": ["bass", "melody"],
    }
    reached = []
    for _ in range(9):
        browser.press("Tab")
        button = browser.evaluate("document.activeElement.ariaLabel")
        reached.append(button)
        if button in heard_after:
            assert browser.evaluate("document.activeElement.ariaPressed") == "false"
            browser.press(" ")
            assert browser.evaluate("document.activeElement.ariaPressed") == "true"
            assert browser.evaluate(heard) == heard_after[button]
    kinds = [f"{kind} {role} of band" for role in BAND.roles for kind in ("Mute", "Solo")]
    assert reached == ["Play band", *kinds]
    browser.click("#play")
    gains = "[...playback.instrument.outputs.values()].map(({ gain }) => Math.round(gain.value))"
    two_silent = "the silence of two parts"
    browser.until(lambda: sorted(browser.evaluate(gains)) == [0, 0, 1, 1], two_silent)
    for button in (".bass .solo", ".melody .solo"):
        browser.click(button)
    one_silent = "all parts but the muted one"
    browser.until(lambda: sorted(browser.evaluate(gains)) == [0, 1, 1, 1], one_silent)
    opacity = "getComputedStyle(document.querySelector('.notes.bass')).opacity"
    assert browser.evaluate(opacity) < "0.5"
    assert browser.errors == []


def test_what_is_saved_is_what_is_heard(browser: Browser, tmp_path: Path) -> None:
    every = wav_of(browser, BAND, tmp_path)
    bass = wav_of(browser, BAND, tmp_path, ".bass .solo")
    drums = wav_of(browser, BAND, tmp_path, ".drums .solo", ".bass .mute")
    spectra = [np.abs(np.fft.rfft(samples.mean(1)[:RATE])) for samples in (every, bass, drums)]
    hiss = [spectrum[5000:].mean() for spectrum in spectra]  # 1 Hz a bin
    assert hiss[1] < 0.05 * hiss[0]
    assert hiss[2] > 0.5 * hiss[0]
    e2 = [spectrum[80:85].max() for spectrum in spectra]
    assert e2[2] < 0.2 * e2[0] < e2[1], "a kick has a little there"


def test_drums_are_told_apart_by_ear(browser: Browser, tmp_path: Path) -> None:
    """By where their sound lies, and by how long it lasts."""
    kit = {
        "kick": 36,
        "snare": 38,
        "closed hat": 42,
        "open hat": 46,
        "low tom": 41,
        "high tom": 50,
        "crash": 49,
    }
    middle = {}
    lasts = {}
    for name, key in kit.items():
        stroke = PianoRoll.from_notes([(0, 1, key)], num_steps=8)
        band = PianoRoll.of_parts([stroke], [Part("drums")])
        samples = wav_of(browser, band, tmp_path)
        assert 0.05 < np.abs(samples).max() < 0.9
        power = np.abs(np.fft.rfft(samples.mean(1)[: RATE // 4])) ** 2
        middle[name] = (power * np.fft.rfftfreq(RATE // 4, 1 / RATE)).sum() / power.sum()
        lasts[name] = level(samples, 0.3, 0.4) / level(samples, 0, 0.1)
    assert middle["kick"] < 75 < middle["low tom"] < 120 < middle["high tom"] < 300
    assert 2000 < middle["snare"] < 7000 < middle["closed hat"]
    assert lasts["closed hat"] < 0.1 < 4 * lasts["closed hat"] < lasts["open hat"] < lasts["crash"]


def test_a_band_is_drawn_in_colours_above_its_drums(browser: Browser, tmp_path: Path) -> None:
    drawn = np.zeros((BAND.num_steps, BAND.num_parts, 128), np.bool_)
    drawn[: BAND.num_steps // 2] = True
    lnfgen.write(tmp_path / "band.html", Song(BAND, drawn=drawn))
    count = "document.querySelector('.notes.{}').getAttribute('d').split('M').length - 1"
    element = "document.querySelector('.notes.{}')"
    style = f"(({{{{ fill, stroke }}}}) => [fill, stroke])(getComputedStyle({element}))"
    browser.open(tmp_path / "band.html")
    fills = []
    for role, given, others in (
        ("drums", 4, 4),
        ("bass", 1, 1),
        ("chords", 0, 3),
        ("melody", 1, 1),
    ):
        states = [f"{role}.given", f"{role}:not(.given)"]
        assert [browser.evaluate(count.format(state)) for state in states] == [given, others]
        (grey, edge), (fill, same) = (browser.evaluate(style.format(state)) for state in states)
        assert edge == fill == same != grey
        fills.append(fill)
    assert len(set(fills)) == 4
    names = browser.evaluate(
        "[...document.querySelectorAll('.drum-name')].map((name) => name.textContent)"
    )
    assert names == ["closed hat", "kick"]
    assert browser.evaluate("rolls[0].rowOf(pieces[0].notes[0])[0] > rolls[0].y(rolls[0].low)")


def test_a_long_band_has_the_notes_of_all_parts_in_each_row(
    browser: Browser, tmp_path: Path
) -> None:
    bars = 40
    beats = [PianoRoll.from_notes([(4 * beat, 4, key) for beat in range(4 * bars)]) for key in KEYS]
    band = PianoRoll.of_parts(beats, [Part(role) for role in ROLES])
    lnfgen.write(tmp_path / "band.html", band)
    browser.open(tmp_path / "band.html")
    rows = browser.evaluate("rolls[0].rows.map(({ from, to }) => to - from)")
    assert sum(rows) == 4 * bars
    assert len(rows) > 2
    count = "(path) => path.getAttribute('d').split('M').length - 1"
    for role in ROLES:
        paths = f"[...document.querySelectorAll('svg .notes.{role}:not(.given)')]"
        assert browser.evaluate(f"{paths}.map({count})") == rows
    parts = "notesBetween(pieces[0], {at}, {at} + 0.1).map((note) => note.part.role)"
    for at in (0, 1, 4 * bars - 1):
        assert browser.evaluate(parts.format(at=at)) == list(ROLES)


def test_it_fits_a_phone_and_prints_without_controls(page: Browser) -> None:
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=740,
        deviceScaleFactor=1,
        mobile=True,
    )
    try:
        assert page.wait("document.documentElement.scrollWidth === 360 && rolls[0].width < 360")
        page.call("Emulation.setEmulatedMedia", media="print")
        height = "(name) => document.querySelector(name).offsetHeight"
        seen = f"['.transport', 'button', '.save'].map({height})"
        assert page.evaluate(seen) == [0, 0, 0]
    finally:
        page.call("Emulation.setEmulatedMedia", media="")
        page.call("Emulation.clearDeviceMetricsOverride")


def test_names_of_chords_do_not_overlap_and_each_row_begins_with_one(
    browser: Browser, tmp_path: Path
) -> None:
    roll = PianoRoll.from_notes([(4 * beat, 4, 60) for beat in range(160)])
    changes = []
    for beat in range(160):
        chord = parse_chord(("Cm7b5", "F7", "Bbmaj7")[beat % 3])
        changes.append(ChordChange(Fraction(beat), chord))
    lnfgen.write(tmp_path / "chords.html", Song(roll, Origin(chords=tuple(changes))))
    browser.open(tmp_path / "chords.html")
    boxes = "[...row.root.querySelectorAll('.chord-name')].map((name) => name.getBBox())"
    edges = f"({boxes}).map((box) => [box.x, box.x + box.width, box.y + box.height])"
    rows = browser.evaluate(f"rolls[0].rows.map((row) => {edges})")
    assert len(rows) > 1
    gutter = browser.evaluate("rolls[0].gutter")
    for row in rows:
        assert len(row) > 3
        assert row[0][0] < gutter + 4
        for (_, right, bottom), (left, _, _) in itertools.pairwise(row):
            assert right < left
            assert bottom < browser.evaluate("rolls[0].head") - 9
    assert not browser.errors
