"""A song in files is read as the same song, and damaged files are refused."""

import contextlib
import json
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fuzz_readers import damaged
from toy_bands import band_encoding, band_file

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.read_write import read_bytes
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD, parse_chord
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song
from lnfgen.music.timing import Timing
from lnfgen.serving.opened_files import opened
from lnfgen.serving.song_files import read_song, write_song

CHORDS = (
    ChordChange(Fraction(0), parse_chord("Bbm7(addb13)/D")),
    ChordChange(Fraction(7, 3), NO_CHORD),
    ChordChange(Fraction(4), parse_chord("F#sus4")),
)


def a_song() -> Song:
    """A song with all that a song can have but parts and a file."""
    notes = [(0, 3, 0), (2, 4, 60), (6, 2, 60), (1, 9, 127)]
    roll = PianoRoll.from_notes(notes, num_steps=20, num_pitches=128, lowest_pitch=0)
    roll = replace(roll, time_signature=(6, 8), upbeat=3, tempo_bpm=71.25, steps_per_quarter=12)
    origin = Origin(
        title='a "title" \u266f',
        key=KeySignature(-3, "dorian"),
        chords=CHORDS,
        timing=Timing(Fraction(1, 7), Fraction(2, 3)),
    )
    drawn = np.random.default_rng(0).random(roll.sounding.shape) < 0.5
    return Song(roll, origin, drawn)


def a_band() -> Song:
    (read,) = read_bytes(band_file(), suffix=".mid", parts="4")
    assert isinstance(read, Song)
    return opened(band_encoding(), band_file(), "band.mid").song


def without_onsets() -> Song:
    song = a_song()
    return replace(song, roll=replace(song.roll, onsets=None))


@pytest.mark.parametrize("make", [a_song, a_band, without_onsets])
def test_a_song_comes_back(make: type[Song], tmp_path: Path) -> None:
    song = make()
    assert song.drawn is not None
    new = ~song.drawn
    write_song(tmp_path, song, {"drawn": song.drawn, "new": new})
    found, masks = read_song(tmp_path, ["drawn", "new"])
    assert found.roll == song.roll
    assert found.roll.parts == song.roll.parts
    assert found.origin == replace(song.origin, report=found.origin.report)
    assert np.array_equal(found.drawn, song.drawn)  # type: ignore[arg-type]
    assert np.array_equal(masks["new"], new)


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    song = a_band()
    assert song.drawn is not None
    write_song(tmp_path, song, {"drawn": song.drawn, "new": song.drawn})
    whole = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    assert len(whole) == 3
    rng = random.Random(0)
    for number in range(120):
        chosen = list(whole)[number % 3]
        chosen.write_bytes(damaged(whole[chosen], list(whole.values()), rng))
        # The words of a song may be changed to others that a song can have.
        with contextlib.suppress(UnreadableFileError):
            found, _ = read_song(tmp_path, ["drawn"])
            assert found.roll.num_steps == song.roll.num_steps
        chosen.write_bytes(whole[chosen])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chords", [["0", 12, [0, 4, 7], 0]]),
        ("chords", [["1/0", 0, [0, 4, 7], 0]]),
        ("chords", [["0", "C", [], 0]]),
        ("key", {"sharps": 99, "mode": ""}),
        ("key", {"sharps": 1, "mode": "locrian sharp 6"}),
        ("swing", "0"),
        ("late", "nan"),
        ("tracks", [{"number": 1}]),
    ],
)
def test_words_that_no_song_has_are_refused(name: str, value: object, tmp_path: Path) -> None:
    song = a_song()
    assert song.drawn is not None
    write_song(tmp_path, song, {"drawn": song.drawn})
    words = json.loads((tmp_path / "song.json").read_text())
    words["origin"][name] = value
    (tmp_path / "song.json").write_text(json.dumps(words))
    with pytest.raises(UnreadableFileError, match="is damaged: "):
        read_song(tmp_path, ["drawn"])


def test_a_mask_that_is_missing_or_of_another_piece_is_refused(tmp_path: Path) -> None:
    song = a_song()
    write_song(tmp_path, song, {"drawn": np.zeros((3, 1, 128), np.bool_)})
    for names in (["drawn"], ["new"]):
        with pytest.raises(UnreadableFileError, match="is damaged: "):
            read_song(tmp_path, names)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="No such file"):
        read_song(tmp_path, ["drawn"])
