"""`lnfgen convert` on songs of a band, on chord symbols and lead sheets."""

import json
from pathlib import Path

import mido
import pytest
from command import Call, fails
from html_page import Page
from reading import one_roll, one_song
from toy_bands import band_file

from lnfgen.cli import convert
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import read, to_bytes, write
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tonality import find_key


@pytest.fixture
def song(tmp_path: Path) -> str:
    (tmp_path / "song.mid").write_bytes(band_file())
    return str(tmp_path / "song.mid")


def band_in(path: str) -> Song:
    """The song in a file in all parts that its tracks play."""
    return one_song(read(path, parts="4"))


def test_a_song_that_is_transposed_keeps_its_parts_and_its_drums(song: str, tmp_path: Path) -> None:
    moved = str(tmp_path / "moved.mid")
    convert.command([song, moved], transpose=2)
    before = band_in(song).roll
    after = band_in(moved)
    assert after.roll.roles == ("drums", "bass", "chords", "melody")
    for number, role in enumerate(before.roles):
        semitones = 0 if role == "drums" else 2
        notes = before.notes(number)
        expected = [(start, length, pitch + semitones) for start, length, pitch in notes]
        assert after.roll.notes(number) == expected, role
    of_drums = [track for track in after.origin.tracks if track.role == "drums"]
    assert [track.channel for track in of_drums] == [10]


def test_the_key_of_a_song_is_that_of_its_pitches(
    song: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert.command([song, str(tmp_path / "moved.mid")], key="D")
    said = [line for line in capsys.readouterr().err.splitlines() if "found" in line]
    key = find_key(band_in(song).roll.merged)
    assert said == [f"{song}: found {key}, moved -3 semitones to D minor"]


@pytest.mark.parametrize("suffix", [".html", ".png", ".musicxml", ".npz", ".txt"])
def test_a_song_has_its_drums_and_parts_in_each_format(
    song: str, suffix: str, tmp_path: Path
) -> None:
    written = tmp_path / f"song{suffix}"
    convert.command([song, str(written)])
    assert written.read_bytes() == to_bytes(band_in(song), suffix, title="song")
    if suffix == ".html":
        (piece,) = Page(written.read_bytes()).data
        assert [part["role"] for part in piece["parts"]] == ["drums", "bass", "chords", "melody"]
    if suffix in (".npz", ".txt"):
        assert one_roll(read(written)) == band_in(song).roll


def test_voices_are_of_one_piano_roll(song: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.mid")
    with pytest.raises(LnfgenError, match=r"song of a band, .*--parts 1$"):
        convert.command([song, out], voices=4)
    convert.command([song, out], voices=4, parts="1")
    assert len(one_song(read(out)).origin.tracks) == 4
    # Several programs are those of the parts with pitches, the highest one first.
    convert.command([song, out], program="73,48,33")
    programs = {track.name: track.program for track in band_in(out).origin.tracks}
    assert programs == {"Drums": 16, "Bass": 33, "Chords": 48, "Melody": 73}


SHEET = """X:1
T:Sheet
M:3/4
L:1/4
K:F
C | "F"A2c | "C7/E"B3 | "hm""F"A2 |]
"""


def test_chord_symbols_go_from_file_to_file(here: Call, tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text(SHEET)
    for source, target in (("a.abc", "b.musicxml"), ("b.musicxml", "c.mid"), ("c.mid", "d.mid")):
        done = here("convert", source, target)
        assert done.returncode == 0, done.stderr
        found = [
            (float(start), str(chord))
            for start, chord in one_song(read(tmp_path / target)).origin.chords
        ]
        assert found == [(1, "F"), (4, "C7/E"), (7, "F")]
        is_first = source == "a.abc"
        assert (b"left out 1 text in the place of chord symbols" in done.stderr) == is_first
    here("convert", "c.mid", "e.mid", "--transpose", -3)
    moved = one_song(read(tmp_path / "e.mid")).origin.chords
    assert [str(chord.transposed(3)) for _, chord in moved] == ["F", "C7/E", "F"]
    facts = json.loads(here("info", "b.musicxml", "--json").stdout)
    assert (facts["chord_symbols"], facts["unread_chords"]) == (3, 0)


def test_a_lead_sheet_becomes_a_band_if_parts_are_asked_for(here: Call, tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text(SHEET)
    done = here("convert", "a.abc", "band.mid", "--parts", 4)
    assert done.returncode == 0, done.stderr
    assert b"1 lead sheet, of which chords and bass play the chord symbols" in done.stderr
    names = [track.name for track in mido.MidiFile(tmp_path / "band.mid").tracks]
    assert names[1:] == ["Drums", "Bass", "Chords", "Melody"]
    here("convert", "a.abc", "alone.mid")
    band = one_song(read(tmp_path / "band.mid", parts="4")).roll
    assert band.notes(3) == one_roll(read(tmp_path / "alone.mid")).notes()


def test_chords_are_found_and_written_where_they_are_asked_for(here: Call, tmp_path: Path) -> None:
    triads = ((60, 64, 67), (57, 60, 64), (65, 69, 72), (67, 71, 74))
    notes = [(16 * bar, 16, pitch) for bar, triad in enumerate(triads) for pitch in triad]
    write(tmp_path / "song.npz", PianoRoll.from_notes(notes))
    here("convert", "song.npz", "plain.musicxml")
    assert b"<harmony" not in (tmp_path / "plain.musicxml").read_bytes()
    for name in ("song.musicxml", "song.mid"):
        here("convert", "song.npz", name, "--chords")
        here("convert", name, "song.chords")
        assert "| C | Am | F | G |" in (tmp_path / "song.chords").read_text()
    fails(here("convert", "song.npz", "b.npz", "--chords"), "'.npz' names no chords")
