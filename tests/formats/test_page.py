"""The page of pieces, by its bytes: its notes and MIDI files, and its safety."""

import base64
import hashlib
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Page

import lnfgen
from lnfgen import PianoRoll
from lnfgen.errors import LnfgenError
from lnfgen.formats.midi import midi_bytes
from lnfgen.formats.page import page_bytes
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD, parse_chord
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part
from lnfgen.music.song import Origin, Song


def a_roll(**options: Any) -> PianoRoll:
    notes = [(0, 4, 60), (4, 4, 60), (4, 2, 64), (9, 7, 21), (16, 1, 108)]
    return PianoRoll.from_notes(notes, **options)


def notes_of(data: dict[str, Any]) -> list[list[Note]]:
    """The notes of each part in the data of a piece, which has three numbers for each note."""
    parts = []
    for numbers_of_part in data["notes"]:
        numbers = iter(numbers_of_part)
        parts.append(list(zip(numbers, numbers, numbers, strict=True)))
    return parts


def four_voices(bars: int) -> Song:
    """Four notes on each quarter, which is as dense as a chorale."""
    rng = np.random.default_rng(0)
    notes = []
    for quarter in range(4 * bars):
        for low in (40, 50, 60, 70):
            notes.append((4 * quarter, 4, int(low + rng.integers(10))))
    return Song(PianoRoll.from_notes(notes))


ROLLS = [
    a_roll(tempo_bpm=90.5, time_signature=(6, 8)),
    PianoRoll(a_roll().sounding, None, steps_per_quarter=12),
    PianoRoll.of_one(np.zeros((3, 88), dtype=bool)),
]
SONGS = [Song(roll) for roll in ROLLS]


@pytest.mark.parametrize("program", [0, 40])
def test_the_page_has_the_notes_and_the_midi_of_each_piece(program: int) -> None:
    page = Page(page_bytes(SONGS, "tunes", programs=[program]))
    assert len(page.all("article")) == len(ROLLS)
    links = [link for link in page.all("a") if link.get("download")]
    assert [link["download"] for link in links] == ["tunes-01.mid", "tunes-02.mid", "tunes-03.mid"]
    for roll, data, link in zip(ROLLS, page.data, links, strict=True):
        assert notes_of(data) == [roll.notes()]
        assert (data["steps"], data["grid"]) == (roll.num_steps, roll.steps_per_quarter)
        assert data["tempo"] == roll.tempo_bpm
        assert tuple(data["timeSignature"]) == roll.time_signature
        kind, _, midi = str(link["href"]).partition(",")
        assert kind == "data:audio/midi;base64"
        assert base64.b64decode(midi, validate=True) == midi_bytes(roll, programs=[program])


def test_a_page_says_the_key_the_instruments_and_the_seed() -> None:
    pitches = (67, 71, 74, 72, 69, 74, 66, 67)
    tune = PianoRoll.from_notes([(4 * place, 4, pitch) for place, pitch in enumerate(pitches)])
    page = page_bytes([Song(tune)], programs=[73, 48, 48, 32], seed=7).decode()
    facts = "G major · 4/4 · ♩ = 120 · 2 bars · 8 notes · 0:04"
    instruments = "Flute, String Ensemble 1, Acoustic Bass"
    assert f">{facts} · {instruments} · seed 7</p>" in page
    assert "48 notes · 0:06 · Acoustic Grand Piano</p>" in page_bytes([four_voices(3)]).decode()
    assert ">4/4 · ♩" in page_bytes(SONGS[2:]).decode(), "without notes there is no key"


def a_band() -> Song:
    strokes = [(step, 1, pitch) for step in range(0, 32, 4) for pitch in (36, 42)]
    drums = [*strokes, (4, 1, 38), (30, 1, 46)]
    bass = [(0, 16, 40), (16, 16, 45)]
    chords = [(0, 32, pitch) for pitch in (60, 64, 67)]
    melody = [(2, 4, 76), (8, 8, 79)]
    notes_of_parts = (drums, bass, chords, melody)
    rolls = [PianoRoll.from_notes(notes, num_steps=32) for notes in notes_of_parts]
    parts = [Part("drums"), Part("bass", 33, (90, 70)), Part("chords", 4), Part("melody", 73)]
    return Song(PianoRoll.of_parts(rolls, parts))


def test_the_parts_of_a_band_have_colours_and_buttons_and_their_drums_have_names() -> None:
    band = a_band()
    page = Page(page_bytes([band, SONGS[0]]))
    instruments = " · Drums, Electric Bass (finger), Electric Piano 1, Flute</p>"
    assert instruments in page_bytes([band]).decode()
    with_tuba = page_bytes([band], programs=[58, 73]).decode()
    assert " · Drums, Flute, Tuba</p>" in with_tuba, "the melody is a tuba"
    data, plain = page.data
    assert {*data} - {*plain} == {"parts", "drums"}, "a piece of one part is written as before"
    assert notes_of(data) == [band.roll.notes(part) for part in range(4)]
    assert data["given"] == [[], [], [], []]
    assert (data["steps"], data["grid"]) == (32, 4)
    bass = data["parts"][1]
    assert (bass["role"], bass["program"], bass["velocities"]) == ("bass", 33, [90, 70])
    from_the_top = [[46, "open hat"], [42, "closed hat"], [38, "snare"], [36, "kick"]]
    assert data["drums"] == from_the_top
    classes = [str(line.get("class")) for line in page.all("p")]
    of_parts = [name for name in classes if name.startswith("facts part")]
    assert of_parts == [f"facts part {role}" for role in band.roll.roles]
    switches = [button for button in page.all("button") if "aria-pressed" in button]
    labels = [f"{kind} {role}" for role in band.roll.roles for kind in ("Mute", "Solo")]
    assert [button["aria-label"] for button in switches] == labels
    assert {button["aria-pressed"] for button in switches} == {"false"}


def test_notes_that_were_given_are_marked_and_explained() -> None:
    roll = a_roll()
    drawn = np.zeros((roll.num_steps, 1, 128), np.bool_)
    drawn[4:, 0, 60] = True  # one of two notes of a pitch
    pages = [Page(page_bytes([Song(roll, drawn=cells)])) for cells in (None, drawn, ~drawn)]
    assert [page.data[0]["given"] for page in pages] == [[[]], [[0, 2, 3, 4]], [[1]]]
    assert roll.notes()[1] == (4, 4, 60)
    is_hidden = []
    for page in pages:
        _, legend = [line for line in page.all("p") if line.get("class") == "facts"]
        is_hidden.append("hidden" in legend)
    assert is_hidden == [True, False, False]


def test_notes_of_a_band_are_given_part_by_part() -> None:
    band = a_band().roll
    drawn = np.zeros((band.num_steps, band.num_parts, 128), np.bool_)
    drawn[:, 1] = True
    drawn[2, 3, 76] = True  # the first of two notes
    page = Page(page_bytes([Song(band, drawn=drawn)]))
    drums, bass, chords, melody = page.data[0]["given"]
    assert drums == list(range(len(band.notes(0))))
    assert (bass, chords, melody) == ([], [0, 1, 2], [1])


def test_drums_have_no_say_in_the_key_of_a_band() -> None:
    strokes = PianoRoll.from_notes([(step, 1, 37) for step in range(32)])
    scale = enumerate((67, 71, 74, 72, 69, 74, 66, 67))
    tune = PianoRoll.from_notes([(4 * place, 4, pitch) for place, pitch in scale])
    band = PianoRoll.of_parts([strokes, tune], [Part("drums"), Part("melody")])
    assert b">G major \xc2\xb7 4/4" in page_bytes([Song(band)])


NASTY = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    """ & "quoted" 'so' {{script}} <!-- \u2028"""
)


def test_a_title_cannot_break_out() -> None:
    plain = Page(page_bytes(SONGS, "a"))
    nasty = Page(page_bytes(SONGS, NASTY))
    assert [tag for tag, _ in nasty.elements] == [tag for tag, _ in plain.elements]
    assert nasty.text("title") == NASTY
    assert nasty.data[1]["name"] == f"{NASTY} 2"
    labels = [button.get("aria-label") for button in nasty.all("button")]
    assert f"Play {NASTY} 2" in labels
    assert b"\\u003c/script>" in page_bytes(SONGS, NASTY)
    page_bytes(SONGS[:1], "a name that is not UTF-8: \udcff").decode("utf-8")


def test_pieces_may_have_names_of_their_own() -> None:
    song = Song(PianoRoll.from_notes([(0, 4, 60)]))
    with pytest.raises(LnfgenError, match="1 name for 2 pieces"):
        page_bytes([song, song], names=["Melody"])
    page = Page(page_bytes([song, song], "Song", names=["Melody", "Harmony <1>"]))
    assert [text for tag, text in page.texts if tag == "h2"] == ["Melody", "Harmony <1>"]
    assert [text for tag, text in page.texts if tag == "h1"] == ["Song"]


def test_the_page_needs_nothing_from_elsewhere_and_allows_only_its_own_script_and_style() -> None:
    content = page_bytes(SONGS).decode("utf-8")
    assert set(re.findall(r"\bhttps?://[^\"' ]+", content)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\beval\(|new Function|\bon\w+=\"|style=\"|@import|url\((?!#)", content)
    page = Page(content.encode())
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            assert str(attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    script = next(text for tag, text in reversed(page.texts) if tag == "script")
    for directive, text in (("style-src", page.text("style")), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none';")


def test_every_control_has_a_name_and_no_id_is_used_twice() -> None:
    page = Page(page_bytes(SONGS))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {label.get("for") for label in page.all("label")}
    for control in page.all("input"):
        assert control["type"] == "checkbox" or control["id"] in labelled
    for button in page.all("button"):
        assert button.get("aria-label") or button["id"] == "play"  # whose label the script keeps
    rolls = [attributes for attributes in page.all("div") if attributes.get("class") == "roll"]
    assert [roll["role"] for roll in rolls] == ["slider"] * 3


def test_the_same_piece_gives_the_same_small_page() -> None:
    content = page_bytes([four_voices(16)], "song")
    assert content == page_bytes([four_voices(16)], "song")
    assert len(content) < 60_000
    assert content.startswith(b"<!doctype html>\n")


def test_one_page_holds_what_other_formats_put_in_numbered_files(tmp_path: Path) -> None:
    lnfgen.write(tmp_path / "one.html", ROLLS[0])
    assert (tmp_path / "one.html").read_bytes() == page_bytes(SONGS[:1], "one")
    lnfgen.write(tmp_path / "all.html", ROLLS, program=3)
    assert (tmp_path / "all.html").read_bytes() == page_bytes(SONGS, "all", programs=[3])
    one_file = r"cannot write 3 pieces as one '\.mid'; expected one, or \.html"
    with pytest.raises(LnfgenError, match=one_file):
        lnfgen.write(tmp_path / "all.mid", ROLLS)
    for wrong in ("a text", ["a text"], [ROLLS[0], "a text"]):
        with pytest.raises(LnfgenError, match="cannot write"):
            lnfgen.write(tmp_path / "text.html", wrong)
    with pytest.raises(LnfgenError, match="no pieces"):
        lnfgen.write(tmp_path / "none.html", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.html", "one.html"]


def test_the_page_has_the_names_of_chords_at_their_steps() -> None:
    chords = (ChordChange(Fraction(0), parse_chord("C")), ChordChange(Fraction(5, 2), NO_CHORD))
    song = Song(a_roll(), Origin(chords=chords))
    with_chords, without = Page(page_bytes([song, SONGS[0]])).data
    assert with_chords["chords"] == [[0, "C"], [10, "N.C."]]
    assert "chords" not in without
